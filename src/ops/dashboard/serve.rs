//! The page, metrics and status over HTTP: read-only, made anew for every request.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::cancel::Cancel;
use crate::error::{Context as _, Error, Kind, Result};
use crate::ops::metrics;
use crate::ops::status::{Level, Status};

use super::page;

/// Makes a status of now.
pub type Look = dyn Fn() -> Pin<Box<dyn Future<Output = Result<Status>> + Send>> + Send + Sync;

#[derive(Clone)]
struct Shared {
    look: Arc<Look>,
    host: String,
    /// Wanted of every request, where the address can be reached from elsewhere.
    token: Option<String>,
}

/// Serves until the run is stopped. `listening` is told the address.
pub async fn serve(
    at: SocketAddr,
    token: Option<String>,
    host: String,
    look: Arc<Look>,
    cancel: &Cancel,
    listening: impl FnOnce(SocketAddr),
) -> Result<()> {
    if !at.ip().is_loopback() && token.is_none() {
        return Err(Error::new(Kind::Refused, format!("refusing to listen on {at} without a token"))
            .hint("others can reach this address: give --token-file, or listen on 127.0.0.1"));
    }
    let listener = TcpListener::bind(at).await.context(Kind::Place, || format!("cannot listen on {at}"))?;
    listening(listener.local_addr().context(Kind::Place, || "cannot tell the address".to_owned())?);
    let router = Router::new()
        .route("/", get(html))
        .route("/metrics", get(text))
        .route("/api/status", get(json))
        .route("/health", get(health))
        .with_state(Shared { look, host, token });
    let stopping = cancel.clone();
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { stopping.cancelled().await })
        .await
        .context(Kind::Place, || "the server ended".to_owned())
}

async fn html(State(shared): State<Shared>, request: Request) -> Response {
    let page = looked(&shared, request).await.map(|status| page(&status, &shared.host));
    match page {
        Ok(Ok(page)) => {
            // Nothing is to be loaded, whatever an escaped name might become.
            let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
            let kind = "text/html; charset=utf-8";
            ([(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, policy)], page).into_response()
        }
        Ok(Err(error)) => failed(&error),
        Err(refused) => refused,
    }
}

async fn text(State(shared): State<Shared>, request: Request) -> Response {
    match looked(&shared, request).await {
        Ok(status) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::render(&status))
            .into_response(),
        Err(refused) => refused,
    }
}

async fn json(State(shared): State<Shared>, request: Request) -> Response {
    let status = match looked(&shared, request).await {
        Ok(status) => status,
        Err(refused) => return refused,
    };
    match serde_json::to_string(&status) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(cause) => failed(&Error::new(Kind::Bug, "cannot write JSON").because(cause)),
    }
}

/// 200 unless something is critical.
async fn health(State(shared): State<Shared>, request: Request) -> Response {
    match looked(&shared, request).await {
        Ok(status) if status.state == Level::Critical => {
            (StatusCode::SERVICE_UNAVAILABLE, "critical\n").into_response()
        }
        Ok(status) => (StatusCode::OK, format!("{}\n", status.state.name())).into_response(),
        Err(refused) => refused,
    }
}

async fn looked(shared: &Shared, request: Request) -> std::result::Result<Status, Response> {
    let is_let_in = is_let_in(shared, &request);
    // A request cannot be shared between threads, so none may be looked at while the tree is.
    drop(request);
    if !is_let_in {
        let how = [(header::WWW_AUTHENTICATE, "Bearer")];
        return Err((StatusCode::UNAUTHORIZED, how, "a token is wanted\n").into_response());
    }
    (shared.look)().await.map_err(|error| failed(&error))
}

/// `Authorization: Bearer TOKEN`, or `?token=TOKEN` for a browser.
fn is_let_in(shared: &Shared, request: &Request) -> bool {
    let Some(token) = &shared.token else { return true };
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let query = request.uri().query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("token="));
    let given = header.and_then(|value| value.strip_prefix("Bearer ")).or(query);
    given.is_some_and(|given| same(given.as_bytes(), token.as_bytes()))
}

/// Takes as long whatever byte differs.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differences == 0
}

fn failed(error: &Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{}\n", error.chain())).into_response()
}
