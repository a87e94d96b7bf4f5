//! Admission of calls: how many are open, what one caller holds of them, how long they may take, and how much memory their
//! messages take.

use crate::connections::PeerOrigin;
use crate::deadline;
use crate::guard::{AccessDenied, DenialToStatus};
use crate::message::{MessageBody, MessageMemory};
use crate::methods::{AccessRule, Method, MethodTable};
use crate::share::{Hold, Holding, held_by_body};
use crate::tokens::Caller;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

/// Time of a public call to its response: health checks take none, and their callers have shown no token.
const PUBLIC_TIMEOUT: Duration = Duration::from_secs(5);

/// Limits of the calls of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallLimits {
    /// Maximum number of calls whose response has not begun.
    pub(crate) calls_max: usize,
    /// Maximum number of open streams.
    pub(crate) streams_max: usize,
    /// Time for a message to arrive, and time to the start of the response for callers without a deadline.
    pub(crate) timeout: Duration,
    /// Maximum time to the start of the response, whatever the deadline of the caller.
    pub(crate) timeout_max: Duration,
}

/// State of the admission layer.
pub(crate) struct Admission {
    limits: CallLimits,
    methods: Arc<MethodTable>,
    memory: MessageMemory,
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    to_status: DenialToStatus,
}

/// Places of an admitted call.
#[derive(Default)]
struct Places {
    /// Until the response begins.
    call: (Option<OwnedSemaphorePermit>, Option<Hold>),
    /// Until the stream ends.
    stream: (Option<OwnedSemaphorePermit>, Option<Hold>),
}

impl Admission {
    pub(crate) fn new(
        limits: CallLimits,
        methods: Arc<MethodTable>,
        memory: MessageMemory,
        to_status: DenialToStatus,
    ) -> Self {
        let calls = Arc::new(Semaphore::new(limits.calls_max));
        let streams = Arc::new(Semaphore::new(limits.streams_max));
        Self { limits, methods, memory, calls, streams, to_status }
    }

    /// Takes the places of a call.
    fn places(&self, method: Method, caller: Option<&Arc<Caller>>) -> Result<Places, Status> {
        // An overloaded process is alive: health checks bypass admission, or the orchestrator would restart it under load. Their
        // number is bounded by connection.
        if method.rule == AccessRule::Public {
            return Ok(Places::default());
        }
        // The caller's share first: its own excess must not take the last place even for a moment.
        let hold = |what, places| match caller {
            Some(caller) => {
                let held = caller.hold(what, places).map_err(AccessDenied::ShareTaken);
                held.map(Some).map_err(|denial| (self.to_status)(&denial))
            }
            None => Ok(None),
        };
        let CallLimits { calls_max, streams_max, .. } = self.limits;
        let of_calls = hold(Holding::Calls, calls_max)?;
        let call = take(&self.calls, "calls in flight (server.max_calls)")?;
        let mut places = Places { call: (Some(call), of_calls), ..Places::default() };
        if method.is_streaming {
            let of_streams = hold(Holding::Streams, streams_max)?;
            let stream = take(&self.streams, "open streams (server.max_streams)")?;
            places.stream = (Some(stream), of_streams);
        }
        Ok(places)
    }

    /// Returns the time of a call to the start of its response, with the message for a call that exceeds it.
    fn time(&self, method: Method, headers: &HeaderMap) -> (Duration, &'static str) {
        let limit = if method.rule == AccessRule::Public { PUBLIC_TIMEOUT } else { self.limits.timeout_max };
        match deadline::from_headers(headers).map(deadline::before) {
            Some(time) if time <= limit => (time, "the deadline of the caller has passed"),
            Some(_) => (limit, "no response within the longest time of the server (server.call_timeout_max)"),
            None => {
                (self.limits.timeout.min(limit), "no response in time; set a deadline to wait for longer")
            }
        }
    }
}

fn take(places: &Arc<Semaphore>, what: &str) -> Result<OwnedSemaphorePermit, Status> {
    let excess = || Status::resource_exhausted(format!("the server has reached its limit of {what}; retry"));
    Arc::clone(places).try_acquire_owned().map_err(|_| excess())
}

/// Admits a call or refuses it at once; nothing is queued but messages that wait for memory.
pub(crate) async fn admitted(
    State(admission): State<Arc<Admission>>,
    request: Request,
    next: Next,
) -> Response {
    let method = admission.methods.method(request.uri().path());
    let caller = Caller::of(request.extensions());
    let Places { call, stream } = match admission.places(method, caller.as_ref()) {
        Ok(places) => places,
        Err(status) => return status.into_http(),
    };
    let (limit, message) = admission.time(method, request.headers());
    let is_own = matches!(request.extensions().get(), Some(PeerOrigin::InProcess));
    let (request, memory) = if is_own {
        (request, None)
    } else {
        let (parts, body) = request.into_parts();
        let time = admission.limits.timeout.min(limit);
        let (body, memory) =
            MessageBody::new(body, admission.memory.clone(), caller, time, method.is_client_streaming);
        (Request::from_parts(parts, Body::new(body)), Some(memory))
    };
    let response = tokio::time::timeout(limit, next.run(request)).await;
    // The handler has the message until here.
    drop((memory, call));
    match response {
        Ok(response) if method.is_streaming => held_by_body(response, stream),
        Ok(response) => response,
        Err(_) => Status::deadline_exceeded(message).into_http(),
    }
}
