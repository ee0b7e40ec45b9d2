//! HTTP for operators: `/metrics`, `/livez`, `/readyz`, `/status`. Reads only, holds no secret, and knows no more than
//! the [`Picture`] it is given. The only file that names hyper.

use super::picture::{Picture, Readiness};
use crate::telemetry::Telemetry;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// HTTP connections at a time; one more closes the oldest, so that whoever asks whether we live is answered.
const CONNECTIONS: usize = 64;

/// How long a connection may take for its one request and the answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How long to wait after a failed accept: the usual cause, no free file descriptor, does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// Who can say what is now.
pub type Look = Arc<dyn Fn() -> Picture + Send + Sync>;

/// Answers until stopped.
pub async fn serve(listener: TcpListener, telemetry: Arc<Telemetry>, look: Look, stop: CancellationToken) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(cause) => {
                tracing::warn!(%cause, "an HTTP connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS {
            open.pop_front().iter().for_each(AbortHandle::abort);
        }
        let (telemetry, look, stop) = (Arc::clone(&telemetry), Arc::clone(&look), stop.clone());
        let connection = tokio::spawn(async move {
            let service = hyper::service::service_fn(|request: Request<Incoming>| {
                let answer = answer(request.method(), request.uri().path(), &telemetry, &look);
                std::future::ready(Ok::<_, Infallible>(answer))
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                // A client that breaks HTTP, is slow or goes away concerns nobody else.
                _ = tokio::time::timeout(TIMEOUT, connection) => {}
                () = stop.cancelled() => {}
            }
        });
        open.push_back(connection.abort_handle());
    }
}

fn answer(method: &Method, path: &str, telemetry: &Telemetry, look: &Look) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refusal = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned());
        refusal.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match path {
        "/livez" => reply(StatusCode::OK, TEXT, "alive\n".to_owned()),
        "/readyz" => {
            let readiness = look().readiness;
            let status = match readiness {
                Readiness::Ready => StatusCode::OK,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            reply(status, TEXT, readiness.reason() + "\n")
        }
        "/status" => reply(StatusCode::OK, JSON, format!("{:#}\n", look().status())),
        "/metrics" => reply(StatusCode::OK, PROMETHEUS, telemetry.render(&look().observation())),
        _ => reply(StatusCode::NOT_FOUND, TEXT, "/metrics /livez /readyz /status\n".to_owned()),
    }
}

fn reply(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::super::picture::tests::picture;
    use super::*;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    const PATIENCE: Duration = Duration::from_secs(60);

    async fn start(readiness: Readiness) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let look: Look = Arc::new(move || Picture { readiness: readiness.clone(), ..picture() });
        let stop = CancellationToken::new();
        (address, stop.clone(), tokio::spawn(serve(listener, Telemetry::new(), look, stop)))
    }

    async fn get(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn ask(readiness: Readiness, request: &str) -> String {
        let (address, stop, server) = start(readiness).await;
        let answer = get(address, request).await;
        stop.cancel();
        server.await.unwrap();
        answer
    }

    /// As many clients as there are places for, each of which has sent this and reads nothing.
    async fn crowd(address: SocketAddr, sent: &[u8]) -> Vec<TcpStream> {
        let mut crowd = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(sent).await.unwrap();
            crowd.push(stream);
        }
        crowd
    }

    #[tokio::test]
    async fn clients_that_do_not_read_keep_nobody_out() {
        let (address, _stop, _server) = start(Readiness::Ready).await;
        let _crowd = crowd(address, &b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1_500)).await;
        for _ in 0..3 {
            let answer = tokio::time::timeout(PATIENCE, get(address, "GET /livez")).await.expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }

    #[tokio::test]
    async fn who_says_nothing_longest_makes_room() {
        let (address, _stop, _server) = start(Readiness::Ready).await;
        let mut crowd = crowd(address, b"").await;
        assert!(get(address, "GET /livez").await.starts_with("HTTP/1.1 200"));
        assert_eq!(crowd[0].read(&mut [0]).await.unwrap(), 0, "it is closed");
        for stream in &crowd[1..] {
            assert_eq!(stream.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        }
    }

    #[tokio::test]
    async fn each_page_answers() {
        for (request, status, holds) in [
            ("GET /livez", "200", "alive"),
            ("GET /readyz", "200", "ready"),
            ("GET /status", "200", "\"applied_lsn\": \"16/B374D848\""),
            ("GET /metrics", "200", "sidecache_entries 2"),
            ("GET /metrics", "200", "text/plain; version=0.0.4"),
            ("GET /else", "404", "/status"),
            ("POST /status", "405", "GET, HEAD"),
        ] {
            let answer = ask(Readiness::Ready, request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(holds), "{request}: {answer}");
        }
    }

    #[tokio::test]
    async fn not_ready_is_503_with_its_reason_and_still_alive() {
        for (readiness, reason) in [
            (Readiness::PrimaryNotReached, "primary has not been reached"),
            (Readiness::StreamNotSettled("connecting"), "not settled yet: connecting"),
            (Readiness::Draining, "draining"),
        ] {
            let answer = ask(readiness.clone(), "GET /readyz").await;
            assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(reason), "{answer}");
            assert!(ask(readiness, "GET /livez").await.starts_with("HTTP/1.1 200"));
        }
    }
}
