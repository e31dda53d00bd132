//! The calls, one by one: what each is given, and what it answers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt as _};
use prost::Message as _;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};

use super::Shared;
use super::answers::{digest, model, model_name, output, stats, tensors};
use super::client::{Client, Rooms};
use super::fault::{Fault, full};
use super::proto::inference_server::Inference;
use super::proto::{
    CaptureDataRequest, CaptureDataResponse, CaptureStatus, DescribeModelRequest,
    GetCaptureDataStatusRequest, GetCaptureDataStatusResponse, GetModelStatsRequest,
    ListModelsRequest, ListModelsResponse, LoadModelRequest, LoadModelResponse, Model, ModelStats,
    Owner, PredictRequest, PredictResponse, StreamPredictRequest, StreamPredictResponse,
    UnloadModelRequest, UnloadModelResponse, stream_predict_response,
};
use crate::capture::{Auxiliary, Captured, Outcome};
use crate::inference::Served;

/// Requests of one stream that run at once.
const IN_FLIGHT_MAX: usize = 8;
/// What the run gives up of a client's time, so that the client hears why.
const FAREWELL_MAX: Duration = Duration::from_millis(2);

/// The calls of the API.
#[derive(Clone)]
pub(super) struct Calls(pub(super) Arc<Shared>);

/// One call's surroundings.
#[derive(Clone)]
struct Call {
    shared: Arc<Shared>,
    client: Client,
    rooms: Rooms,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Calls {
    fn call<T>(&self, request: &Request<T>) -> Result<Call, Status> {
        let extensions = request.extensions();
        let lost = || Status::internal("the connection is not known");
        Ok(Call {
            shared: Arc::clone(&self.0),
            client: extensions.get::<Client>().cloned().ok_or_else(lost)?,
            rooms: extensions.get::<Rooms>().cloned().ok_or_else(lost)?,
        })
    }

    /// What `answer` makes, with faults as gRPC says them.
    fn told<T>(&self, answer: Result<T, Fault>) -> Result<Response<T>, Status> {
        answer.map(Response::new).map_err(|fault| {
            self.0.counts.failed.fetch_add(1, Ordering::Relaxed);
            fault.status()
        })
    }

    fn find(&self, name: &str) -> Result<Arc<Served>, Fault> {
        self.0.find(name)
    }
}

impl Shared {
    fn find(&self, name: &str) -> Result<Arc<Served>, Fault> {
        let served = self.deployments.served(&model_name(name)?);
        served.ok_or_else(|| Fault::no_model(name))
    }

    fn describe(&self, served: &Served) -> Model {
        let name = served.name();
        let deployed = self.deployments.models().get(name).is_some();
        let owner = if deployed {
            Owner::Deployment
        } else {
            Owner::Api
        };
        model(served, owner, deployed && self.capture.allows(name))
    }
}

impl Call {
    /// Runs a model once, within its turn.
    async fn predict(
        &self,
        request: PredictRequest,
        deadline: Option<Instant>,
    ) -> Result<PredictResponse, Fault> {
        let begun = Instant::now();
        let received = request.encoded_len();
        // Until it has an answer there is nothing for its client to do.
        let _with_host = self.rooms.with_host();
        let answer = self.run(request, deadline, begun).await;
        self.rooms.request.give(received);
        let answer = answer?;
        let bytes = answer.encoded_len();
        let max = self.shared.message_bytes_max;
        if bytes > max {
            let message = format!("the answer has {bytes} bytes, at most {max} are sent");
            let code = "answer-too-large";
            return Err(Fault::new(Code::ResourceExhausted, code, message));
        }
        if self.rooms.answer.take(bytes + HEAD_BYTES) {
            Ok(answer)
        } else {
            Err(full())
        }
    }

    async fn run(
        &self,
        request: PredictRequest,
        deadline: Option<Instant>,
        begun: Instant,
    ) -> Result<PredictResponse, Fault> {
        let served = self.shared.find(&request.model)?;
        let wanted = digest(&request.digest)?;
        let inputs = tensors(request.inputs)?;
        let own = Duration::from_millis(request.timeout_ms.into());
        let own = (!own.is_zero()).then(|| begun + own);
        let deadline = [deadline, own].into_iter().flatten().min();
        let wait_max = served.current().run_time_max();
        let stake = self.client.share.turn(deadline, wait_max).await?;
        let version = served.current().digest();
        if let Some(wanted) = wanted.filter(|wanted| *wanted != version) {
            let message = format!("the version {wanted} does not serve, but {version}");
            return Err(Fault::new(Code::NotFound, "model-other-version", message));
        }
        let outputs = served.run_for(inputs, deadline, Some(stake)).await?;
        self.shared
            .counts
            .predictions
            .fetch_add(1, Ordering::Relaxed);
        Ok(PredictResponse {
            outputs: outputs.into_iter().map(output).collect(),
            digest: version.to_string(),
            took_us: u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
        })
    }

    async fn streamed(self, request: StreamPredictRequest) -> StreamPredictResponse {
        use stream_predict_response::Result as Answer;
        let id = request.id;
        let answer = match request.request {
            Some(request) => self.predict(request, None).await,
            None => Err(Fault::invalid("request-missing", "there is no request")),
        };
        let result = match answer {
            Ok(response) => Answer::Response(response),
            Err(fault) => {
                self.shared.counts.failed.fetch_add(1, Ordering::Relaxed);
                Answer::Error(fault.error())
            }
        };
        StreamPredictResponse {
            id,
            result: Some(result),
        }
    }
}

#[tonic::async_trait]
impl Inference for Calls {
    type StreamPredictStream = Answers<StreamPredictResponse>;

    async fn predict(
        &self,
        request: Request<PredictRequest>,
    ) -> Result<Response<PredictResponse>, Status> {
        let call = self.call(&request)?;
        let deadline = deadline(request.metadata());
        self.told(call.predict(request.into_inner(), deadline).await)
    }

    async fn stream_predict(
        &self,
        request: Request<Streaming<StreamPredictRequest>>,
    ) -> Result<Response<Self::StreamPredictStream>, Status> {
        let call = self.call(&request)?;
        let stopping = call.client.stopping.clone().cancelled_owned();
        let answers = request.into_inner().map(move |request| {
            let call = call.clone();
            async move {
                // What cannot be read ends the stream.
                let request = request?;
                let overhead = request.encoded_len();
                let inner = request
                    .request
                    .as_ref()
                    .map_or(0, prost::Message::encoded_len);
                // The head of each message, and what is around the request in it.
                call.rooms.request.give(HEAD_BYTES + overhead - inner);
                Ok(call.streamed(request).await)
            }
        });
        let answers = answers.buffered(IN_FLIGHT_MAX).take_until(stopping);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn load_model(
        &self,
        request: Request<LoadModelRequest>,
    ) -> Result<Response<LoadModelResponse>, Status> {
        let LoadModelRequest { model, reference } = received(&self.call(&request)?, request);
        let loaded = async {
            let name = model
                .parse()
                .map_err(|_| Fault::invalid("model-name", "`model` is not the name of a model"))?;
            let reference = reference.parse().map_err(|_| {
                let message = "`reference` is not a reference to an artifact, with its digest";
                Fault::invalid("reference-invalid", message)
            })?;
            let served = self.0.deployments.load_model(name, reference).await?;
            Ok(LoadModelResponse {
                model: Some(self.0.describe(&served)),
            })
        };
        self.told(loaded.await)
    }

    async fn unload_model(
        &self,
        request: Request<UnloadModelRequest>,
    ) -> Result<Response<UnloadModelResponse>, Status> {
        let request = received(&self.call(&request)?, request);
        let unloaded = model_name(&request.model).and_then(|name| self.0.unload(&name));
        self.told(unloaded.map(|()| UnloadModelResponse {}))
    }

    async fn list_models(
        &self,
        request: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        received(&self.call(&request)?, request);
        let all = self.0.deployments.all_served();
        let models = all.values().map(|served| self.0.describe(served));
        self.told(Ok(ListModelsResponse {
            models: models.collect(),
        }))
    }

    async fn describe_model(
        &self,
        request: Request<DescribeModelRequest>,
    ) -> Result<Response<Model>, Status> {
        let request = received(&self.call(&request)?, request);
        let found = self.find(&request.model);
        self.told(found.map(|served| self.0.describe(&served)))
    }

    async fn get_model_stats(
        &self,
        request: Request<GetModelStatsRequest>,
    ) -> Result<Response<ModelStats>, Status> {
        let request = received(&self.call(&request)?, request);
        let found = self.find(&request.model);
        self.told(found.map(|served| stats(&served)))
    }

    async fn capture_data(
        &self,
        request: Request<CaptureDataRequest>,
    ) -> Result<Response<CaptureDataResponse>, Status> {
        let call = self.call(&request)?;
        let request = request.into_inner();
        let bytes = request.encoded_len();
        let submitted = captured(&self.0, request);
        let submitted = submitted.and_then(|captured| Ok(self.0.capture.submit(captured)?));
        call.rooms.request.give(bytes + HEAD_BYTES);
        self.told(submitted.map(|id| CaptureDataResponse {
            capture_id: id.to_string(),
        }))
    }

    async fn get_capture_data_status(
        &self,
        request: Request<GetCaptureDataStatusRequest>,
    ) -> Result<Response<GetCaptureDataStatusResponse>, Status> {
        let request = received(&self.call(&request)?, request);
        let id = request.capture_id.parse().ok();
        let outcome = id.and_then(|id| self.0.capture.outcome(&id));
        let status = match outcome {
            None => CaptureStatus::Unknown,
            Some(Outcome::Queued) => CaptureStatus::Queued,
            Some(Outcome::Published) => CaptureStatus::Published,
            Some(Outcome::Dropped) => CaptureStatus::Dropped,
        };
        self.told(Ok(GetCaptureDataStatusResponse {
            status: status.into(),
        }))
    }
}

/// Bytes before each message (gRPC over HTTP/2, length-prefixed messages).
pub(super) const HEAD_BYTES: usize = 5;

/// A small request; nothing of it is held any longer.
fn received<T: prost::Message>(call: &Call, request: Request<T>) -> T {
    let request = request.into_inner();
    call.rooms.request.give(usize::MAX);
    request
}

fn captured(shared: &Shared, request: CaptureDataRequest) -> Result<Captured, Fault> {
    let served = shared.find(&request.model)?;
    let id = Some(request.capture_id).filter(|id| !id.is_empty());
    let id = id.map(|id| id.parse()).transpose();
    let id = id.map_err(|error: crate::capture::CaptureIdError| {
        Fault::invalid("capture-id", format!("`capture_id`: {error}"))
    })?;
    let auxiliary = request.auxiliary.into_iter().map(|extra| Auxiliary {
        name: extra.name,
        content_type: extra.content_type,
        data: extra.data,
    });
    Ok(Captured {
        model: served.name().clone(),
        digest: Some(served.current().digest()),
        id,
        time_ns: Some(request.time_ns).filter(|time| *time > 0),
        inputs: tensors(request.inputs)?,
        outputs: tensors(request.outputs)?,
        auxiliary: auxiliary.collect(),
    })
}

/// When the client stops waiting (`grpc-timeout`), and a little before.
fn deadline(metadata: &MetadataMap) -> Option<Instant> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|d| d.is_ascii_digit());
    let count: u64 = digits.parse().ok().filter(|_| is_number)?;
    let time = match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    };
    let time = time.saturating_sub(FAREWELL_MAX.min(time / 10));
    Instant::now().checked_add(time)
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, MetadataMap, deadline};

    #[test]
    fn the_deadline_of_a_client_is_kept_and_what_is_none_is_ignored() {
        let of = |text: &'static str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            deadline(&metadata).map(|at| at.saturating_duration_since(Instant::now()))
        };
        let near = |text, expected: Duration| {
            let left = of(text).unwrap();
            assert!(left <= expected, "{text}: {left:?}");
            assert!(left + Duration::from_secs(1) > expected, "{text}: {left:?}");
        };
        near("1H", Duration::from_secs(3600));
        near("2M", Duration::from_secs(120));
        near("3S", Duration::from_secs(3));
        near("1500m", Duration::from_millis(1500));
        near("99999999u", Duration::from_micros(99_999_999));
        near("1n", Duration::from_nanos(1));
        for text in ["", "S", "1", "1x", "123456789S", "-1S", "+1S", "1.5S"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
