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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || idle.idle())
        .build()?;
    // Spawned, not polled by `block_on` itself: the runtime calls the park hook only when no *task* can go on.
    let output = runtime.block_on(async { tokio::spawn(future).await });
    sim.unobserve();
    match output {
        Ok(output) => Ok(output),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
