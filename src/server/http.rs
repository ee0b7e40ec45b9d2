//! HTTP for operators: `/metrics`, `/livez`, `/readyz`, `/status`. Reads only, holds no secret, and knows no more than
//! the [`Picture`] it is given. The only file that names hyper.

use super::picture::{Picture, Readiness};
use crate::telemetry::Telemetry;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// HTTP connections at a time; more wait to be accepted.
const CONNECTIONS: usize = 64;

/// How long a request's head may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait after a failed accept: the usual cause, no free file descriptor, does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// Who can say what is now.
pub type Look = Arc<dyn Fn() -> Picture + Send + Sync>;

/// Answers until stopped.
pub async fn serve(listener: TcpListener, telemetry: Arc<Telemetry>, look: Look, stop: CancellationToken) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accept = async {
            let seat = Arc::clone(&seats).acquire_owned().await.expect("nobody closes the semaphore");
            (listener.accept().await, seat)
        };
        let (accepted, seat) = tokio::select! {
            accepted = accept => accepted,
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
        let (telemetry, look, stop) = (Arc::clone(&telemetry), Arc::clone(&look), stop.clone());
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request: Request<Incoming>| {
                let answer = answer(request.method(), request.uri().path(), &telemetry, &look);
                std::future::ready(Ok::<_, Infallible>(answer))
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                // A client that breaks HTTP or goes away concerns nobody else.
                _ = connection => {}
                () = stop.cancelled() => {}
            }
            drop(seat);
        });
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn ask(readiness: Readiness, request: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let look: Look = Arc::new(move || Picture { readiness: readiness.clone(), ..picture() });
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, Telemetry::new(), look, stop.clone()));
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream
            .write_all(format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        stop.cancel();
        server.await.unwrap();
        answer
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
