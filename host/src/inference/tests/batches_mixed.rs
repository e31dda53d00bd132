//! Whoever is computed together with whomever: each gets the answer to its own
//! question or none, also when others fail, go, or have no time.

use std::rc::Rc;
use std::time::Duration;

use futures::future::join_all;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof};
use proptest::proptest;

use super::RunError;
use super::batches::{LONG, POISON, ask_rows, batching, world};

/// What one caller does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Caller {
    Waits,
    Fails,
    /// Goes away after so many microseconds.
    Goes(u64),
    /// Has so many microseconds.
    Late(u64),
}

fn caller() -> impl Strategy<Value = (Caller, usize, u64)> {
    let does = prop_oneof![
        4 => Just(Caller::Waits),
        1 => Just(Caller::Fails),
        1 => (0_u64..4_000).prop_map(Caller::Goes),
        1 => (0_u64..4_000).prop_map(Caller::Late),
    ];
    // Rows, and when it comes.
    (does, 1_usize..4, 0_u64..2_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_gets_the_answer_to_its_own_question(callers in vec(caller(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(all(callers));
    }
}

async fn all(callers: Vec<(Caller, usize, u64)>) {
    let world = Rc::new(world(batching(8, 500)));
    let asked = callers
        .iter()
        .enumerate()
        .map(|(number, &(does, rows, comes))| {
            let world = Rc::clone(&world);
            async move {
                tokio::time::sleep(Duration::from_micros(comes)).await;
                // No two rows of all callers are the same.
                let mut values: Vec<_> = (0..rows).map(|row| (number * 10 + row) as f64).collect();
                if does == Caller::Fails {
                    values[0] = POISON;
                }
                let within = match does {
                    Caller::Late(us) => Duration::from_micros(us),
                    _ => LONG,
                };
                let run = ask_rows(&world, &values, within);
                let answer = match does {
                    Caller::Goes(us) => {
                        let Ok(answer) = tokio::time::timeout(Duration::from_micros(us), run).await
                        else {
                            return;
                        };
                        answer
                    }
                    _ => run.await,
                };
                match (does, answer) {
                    (Caller::Fails, Err(RunError::Failed { .. })) => {}
                    (Caller::Fails, Ok(found)) => panic!("another's answer: {found:?}"),
                    (_, Ok(found)) => {
                        let own: Vec<_> = values.iter().map(|value| value * 2.0).collect();
                        assert_eq!(found, own, "another's answer");
                    }
                    // Those who go and those who are late may be told anything but an answer
                    // that is not theirs; and while a run goes on that nobody waits for, so may
                    // all others.
                    (_, Err(error)) => assert!(
                        error.is_busy() || matches!(error, RunError::Deadline),
                        "{error:?}"
                    ),
                }
            }
        });
    join_all(asked).await;
}
