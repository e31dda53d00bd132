//! What the shadow desires, and what became of it: each is tried once.
//!
//! What was tried is remembered by the digest of what was desired, whatever the
//! order of its keys, so that neither a restart nor a delta that comes again and
//! again repeats it. One that failed is tried again when it changes, or was taken
//! back and desired anew. What an operator does here afterwards stays as it is.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::asking::random;
use super::jobs::record::Outcome;
use super::jobs::wire::Status;
use super::order::{Deploy, Order, OrderError};
use super::shadow::report::{Answer, reason};
use crate::error_chain::ErrorChain;
use crate::names::Digest;
use crate::storage::{Bucket, BucketError, Storage};

/// Where it is kept.
const KEY: &str = "desired";
const BYTES_MAX: u64 = 256 << 10;
/// Characters of the digest in the name that a deployment is made in.
const SHORT_CHARS: usize = 19;

/// One that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tried {
    key: String,
    /// Tells this try from an earlier one of the same: what is made in its name is
    /// looked for by it.
    #[serde(default)]
    try_id: String,
    /// What is being tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order: Option<Order>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub by: String,
    pub order: Order,
    /// It may have been done in part.
    pub again: bool,
}

/// What is desired, and how it stands. What changes is written before it is told.
#[derive(Debug)]
pub struct Desired {
    bucket: Bucket,
    allowed: bool,
    tried: Option<Tried>,
    /// What came while another was tried.
    next: Option<Option<Value>>,
}

impl Desired {
    /// As it is remembered. Blocks.
    pub fn open(storage: &Storage, allowed: bool) -> Result<Self, BucketError> {
        let bucket = storage.bucket("cloud-shadow", BYTES_MAX)?;
        let tried = bucket.get(KEY)?.unwrap_or_default();
        Ok(Self {
            bucket,
            allowed,
            tried: serde_json::from_slice(&tried).ok(),
            next: None,
        })
    }

    /// What a crash cut short.
    pub fn unfinished(&self) -> Option<Task> {
        let tried = self.tried.as_ref()?;
        self.task(tried, true)
    }

    /// This is desired now, or nothing. What is to be done about it. Blocks.
    pub fn is(&mut self, desired: Option<Value>) -> Result<Option<Task>, BucketError> {
        if self.tried.as_ref().is_some_and(|it| it.outcome.is_none()) {
            self.next = Some(desired);
            return Ok(None);
        }
        let Some(desired) = desired else {
            if self.tried.take().is_some() {
                self.bucket.delete(KEY)?;
            }
            return Ok(None);
        };
        let key = digest(&desired);
        if self.tried.as_ref().is_some_and(|tried| tried.key == key) {
            return Ok(None);
        }
        let order = Deploy::read(&desired);
        let order = order.and_then(|order| match self.allowed {
            true => Ok(Order::Deploy(order)),
            false => Err(OrderError::NotAllowed),
        });
        let (order, outcome) = match order {
            Ok(order) => (Some(order), None),
            Err(error) => {
                let reason = ErrorChain(&error).to_string();
                (None, Some(Outcome::rejected(error.code(), &reason)))
            }
        };
        let tried = Tried {
            key,
            try_id: format!("{:016x}", random()),
            order,
            outcome,
        };
        let task = self.task(&tried, false);
        self.save(tried)?;
        Ok(task)
    }

    /// How it ended, and what is to be done next. Blocks.
    pub fn ended(&mut self, outcome: Outcome) -> Result<Option<Task>, BucketError> {
        if let Some(tried) = self.tried.clone() {
            let (order, outcome) = (None, Some(outcome));
            self.save(Tried {
                order,
                outcome,
                ..tried
            })?;
        }
        match self.next.take() {
            Some(next) => self.is(next),
            None => Ok(None),
        }
    }

    /// What is told of it.
    pub fn answer(&self) -> Option<Answer> {
        let tried = self.tried.as_ref()?;
        let detail = |name: &str| tried.outcome.as_ref()?.details.get(name).cloned();
        let outcome = match tried.outcome.as_ref().map(|outcome| outcome.status) {
            None => "under-way",
            Some(Status::Succeeded) => "succeeded",
            Some(Status::Rejected) => "rejected",
            Some(_) => "failed",
        };
        Some(Answer {
            key: tried.key.clone(),
            outcome: outcome.to_owned(),
            code: detail("code"),
            reason: detail("reason").map(|text| reason(&text)),
        })
    }

    fn task(&self, tried: &Tried, again: bool) -> Option<Task> {
        let short: String = tried.key.chars().take(SHORT_CHARS).collect();
        let by = format!("cloud shadow {short} {}", tried.try_id);
        let order = tried.order.clone()?;
        Some(Task { by, order, again })
    }

    fn save(&mut self, tried: Tried) -> Result<(), BucketError> {
        let value = serde_json::to_vec(&tried).unwrap_or_default();
        self.bucket.set(KEY, &value)?;
        self.tried = Some(tried);
        Ok(())
    }
}

/// The digest of a value, whatever the order of its keys.
fn digest(value: &Value) -> String {
    let mut text = String::new();
    canonical(value, &mut text);
    Digest::of(text.as_bytes()).to_string()
}

/// Writes `value` with its keys in order. It is no deeper than was read.
fn canonical(value: &Value, into: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            into.push('{');
            for (key, value) in fields {
                into.push_str(&Value::from(key.as_str()).to_string());
                into.push(':');
                canonical(value, into);
                into.push(',');
            }
            into.push('}');
        }
        Value::Array(values) => {
            into.push('[');
            for value in values {
                canonical(value, into);
                into.push(',');
            }
            into.push(']');
        }
        plain => into.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Desired;
    use crate::cloud::jobs::record::Outcome;
    use crate::storage::Storage;

    #[test]
    fn what_failed_is_not_tried_again_until_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (json!({"document": "a = 1"}), json!({"document": "a = 2"}));
        {
            let storage = Storage::open(directory.path()).unwrap();
            let mut desired = Desired::open(&storage, true).unwrap();
            let task = desired.is(Some(one.clone())).unwrap().unwrap();
            assert!(!task.again);
            assert_eq!(desired.answer().unwrap().outcome, "under-way");
            assert_eq!(desired.is(Some(one.clone())).unwrap(), None);
        }
        {
            let storage = Storage::open(directory.path()).unwrap();
            let mut desired = Desired::open(&storage, true).unwrap();
            assert!(desired.unfinished().unwrap().again);
            assert_eq!(
                desired.ended(Outcome::failed("x", "because")).unwrap(),
                None
            );
        }
        let storage = Storage::open(directory.path()).unwrap();
        let mut desired = Desired::open(&storage, true).unwrap();
        assert_eq!(desired.unfinished(), None);
        assert_eq!(desired.is(Some(one.clone())).unwrap(), None);
        assert_eq!(desired.answer().unwrap().reason.as_deref(), Some("because"));
        assert!(desired.is(Some(other.clone())).unwrap().is_some());
        // What comes meanwhile waits, and of several the last counts.
        assert_eq!(desired.is(None).unwrap(), None);
        assert_eq!(desired.is(Some(one.clone())).unwrap(), None);
        let task = desired.ended(Outcome::failed("x", "because")).unwrap();
        assert!(task.is_some());
        desired.ended(Outcome::failed("x", "because")).unwrap();
        assert_eq!(desired.is(None).unwrap(), None);
        assert_eq!(desired.answer(), None);
        assert!(
            desired.is(Some(one)).unwrap().is_some(),
            "it is desired anew"
        );
    }

    #[test]
    fn what_is_desired_again_after_another_is_another_try_and_the_same_one_after_a_crash() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::open(directory.path()).unwrap();
        let mut desired = Desired::open(&storage, true).unwrap();
        let mut names = std::collections::BTreeSet::new();
        for text in ["a = 1", "a = 2", "a = 1"] {
            let task = desired.is(Some(json!({"document": text}))).unwrap();
            let task = task.unwrap();
            let again = Desired::open(&storage, true).unwrap().unfinished();
            assert_eq!(again.unwrap().by, task.by);
            // By its name the first deployment of a document would pass for the last.
            assert!(names.insert(task.by), "{text}");
            desired.ended(Outcome::failed("x", "because")).unwrap();
        }
    }

    #[test]
    fn the_order_of_keys_makes_no_difference() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::open(directory.path()).unwrap();
        let mut desired = Desired::open(&storage, false).unwrap();
        let text = "{\"document\":{\"a\":1,\"b\":[1,{\"c\":2,\"d\":3}]},\"when_busy\":\"queue\"}";
        let other = "{\"when_busy\":\"queue\",\"document\":{\"b\":[1,{\"d\":3,\"c\":2}],\"a\":1}}";
        let read = |text: &str| Some(serde_json::from_str(text).unwrap());
        assert_eq!(desired.is(read(text)).unwrap(), None);
        let answer = desired.answer().unwrap();
        assert_eq!(
            (answer.outcome.as_str(), answer.code.as_deref()),
            ("rejected", Some("not-allowed"))
        );
        desired.is(read(other)).unwrap();
        assert_eq!(desired.answer().unwrap(), answer);
    }
}
