//! The smallest change that makes one state another, as the shadow merges it:
//! objects level by level, `null` removes, all else is replaced.

use serde_json::{Map, Value};

/// What `old` is merged with to become `new`.
pub fn between(old: &Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        match (old.get(key), value) {
            (Some(had), value) if had == value => {}
            (Some(Value::Object(had)), Value::Object(has)) => {
                patch.insert(key.clone(), Value::Object(between(had, has)));
            }
            (_, value) => drop(patch.insert(key.clone(), value.clone())),
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::between;

    fn merge(into: &mut Map<String, Value>, patch: &Map<String, Value>) {
        for (key, value) in patch {
            match (into.get_mut(key), value) {
                (_, Value::Null) => drop(into.remove(key)),
                (Some(Value::Object(had)), Value::Object(patch)) => merge(had, patch),
                (_, value) => drop(into.insert(key.clone(), value.clone())),
            }
        }
    }

    #[test]
    fn merged_with_the_change_the_old_is_the_new() {
        let states = [
            json!({}),
            json!({"a": 1, "b": {"c": [1, 2], "d": {"e": "f"}}}),
            json!({"a": {"x": 1}, "b": {"c": [2], "d": "g"}}),
            json!({"b": {"d": {"e": "f", "g": 1}}}),
        ];
        let object = |state: &Value| state.as_object().unwrap().clone();
        for (old, new) in states
            .iter()
            .flat_map(|old| states.iter().map(move |new| (old, new)))
        {
            let patch = between(&object(old), &object(new));
            assert_eq!(patch.is_empty(), old == new);
            let mut merged = object(old);
            merge(&mut merged, &patch);
            assert_eq!(Value::Object(merged), *new, "{patch:?}");
        }
    }

    #[test]
    fn what_is_the_same_is_not_sent() {
        let old =
            json!({"plugins": {"a": {"state": "running", "v": "1"}, "b": {"state": "stopped"}}});
        let new = json!({"plugins": {"a": {"state": "stopped", "v": "1"}}});
        let patch = between(old.as_object().unwrap(), new.as_object().unwrap());
        let expected = json!({"plugins": {"a": {"state": "stopped"}, "b": null}});
        assert_eq!(Value::Object(patch), expected);
    }
}
