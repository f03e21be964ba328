//! The sockets of the server: one task that accepts, one for each connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::session::{Session, Step};
use crate::environment::{Listener, Stream};
use crate::relay::Context;

/// Accepts connections until the relay is stopped.
pub(crate) async fn serve(context: Arc<Context>, mut listener: Box<dyn Listener>) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = context.stopping() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => context.tasks.spawn(talk(context.clone(), stream, peer)),
            Err(error) => {
                // Whatever it is (no descriptors left, say), asking again at once would only repeat it.
                context.log.say(format!("accept: {error}"));
                context.sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// One connection, to its end.
async fn talk(context: Arc<Context>, stream: Box<dyn Stream>, peer: SocketAddr) {
    let mut session = Session::new(context.config.clone(), peer.ip());
    if let Err(error) = carry(&context, &mut session, stream, peer).await {
        context.log.say(format!("client [{}]: {error}", peer.ip()));
    }
}

async fn carry(
    context: &Context,
    session: &mut Session,
    mut stream: Box<dyn Stream>,
    peer: SocketAddr,
) -> io::Result<()> {
    let mut octets = vec![0; 16 * 1024];
    loop {
        let step = advance(context, session, peer);
        let answers = session.take_answers();
        if !answers.is_empty() {
            // A client that takes no replies is as silent as one that sends no commands.
            context
                .within(context.config.timeouts.idle, async {
                    stream.write_all(&answers).await?;
                    stream.flush().await
                })
                .await
                .ok_or(io::Error::new(io::ErrorKind::TimedOut, "takes no replies"))??;
        }
        match step {
            Step::Write => continue,
            Step::Close => return stream.shutdown().await,
            Step::StartTls => {
                stream = encrypt(context, stream).await?;
                session.secured();
                continue;
            }
            Step::Read | Step::Store(_) => {}
        }
        tokio::select! {
            biased;
            read = context.within(context.config.timeouts.idle, stream.read(&mut octets)) => match read {
                Some(Ok(0)) => return Ok(()),
                Some(read) => session.receive(&octets[..read?]),
                None => session.timed_out(),
            },
            () = context.stopping() => session.shutting_down(),
        }
    }
}

/// The handshake. A client that closes, talks something else or is silent has had its chance: what follows in the clear would
/// be anybody's.
async fn encrypt(context: &Context, stream: Box<dyn Stream>) -> io::Result<Box<dyn Stream>> {
    // Only a relay that has a certificate takes STARTTLS.
    let acceptor = context.acceptor.as_ref().ok_or(io::ErrorKind::Unsupported)?;
    let handshake = context.within(context.config.timeouts.idle, acceptor.accept(stream));
    let accepted = handshake.await.ok_or(io::Error::new(io::ErrorKind::TimedOut, "no TLS handshake came"))?;
    let failed = |error| io::Error::other(format!("TLS failed: {error}"));
    accepted.map(|stream| Box::new(stream) as Box<dyn Stream>).map_err(failed)
}

/// Lets the session go on until it wants to write, to read or to end; stores what it hands over.
fn advance(context: &Context, session: &mut Session, peer: SocketAddr) -> Step {
    loop {
        let submission = match session.advance() {
            Step::Store(submission) => submission,
            step => return step,
        };
        match context.queue.accept(submission) {
            Ok(id) => session.stored(Ok(&id)),
            Err(error) => {
                context.log.say(format!("client [{}]: the message could not be stored: {error}", peer.ip()));
                session.stored(Err(error.kind()));
            }
        }
    }
}
