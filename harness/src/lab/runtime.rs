//! The one thread of a run.

use std::future::Future;
use std::io;

use super::sim::Sim;

/// Runs a future, and all that it spawns, on this thread under the simulation's clock. Whatever it spawned is gone when
/// this returns.
///
/// # Errors
/// When the operating system gives no event queue (out of file descriptors).
pub fn block_on<F>(sim: &Sim, future: F) -> io::Result<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let idle = sim.clone();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    run(sim, builder.on_thread_park(move || idle.idle()), future)
}

/// The same for a run around a relay in a lab of its own, where what is on its way is not counted: the clock moves only when
/// the world says so.
///
/// # Errors
/// As above.
pub fn block_on_real<F>(sim: &Sim, future: F) -> io::Result<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    run(sim, &mut tokio::runtime::Builder::new_current_thread(), future)
}

fn run<F>(sim: &Sim, builder: &mut tokio::runtime::Builder, future: F) -> io::Result<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let runtime = builder.enable_all().build()?;
    // Spawned, not polled by `block_on` itself: the runtime calls the park hook only when no *task* can go on.
    let output = runtime.block_on(async { tokio::spawn(future).await });
    sim.unobserve();
    match output {
        Ok(output) => Ok(output),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
