//! An update that wants more than what runs: refused unless the document grants
//! it, and shown before and after.

use selvedge::deployment::plan::{Asker, Change};
use selvedge::deployment::report::Phase;
use selvedge::deployment::submission::{SubmitError, WhenBusy};

use super::flow::{NEIGHBOUR, UPDATED, under_load};
use crate::deployments::world::{Device, Line};

fn line(guest: &str, label: &str, grants: &str) -> Line {
    let config = format!("label = \"{label}\", second_topic = \"more/p\"");
    Line::new(1)
        .counts(UPDATED, guest, &config)
        .and(grants)
        .counts(NEIGHBOUR, "update_counts", "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_wants_more_runs_once_that_is_granted() {
    let device = Device::with(&["update_counts", "update_wants_more"]);
    let host = device.start().await;
    let kept = host.commit(&line("update_counts", "old", "")).await;
    let granted = Line::new(2)
        .counts(
            UPDATED,
            "update_wants_more",
            "label = \"new\", second_topic = \"more/p\"",
        )
        .and("grants.keyvalue_bytes_max = 1024")
        .publishing(UPDATED, "more/p")
        .counts(NEIGHBOUR, "update_counts", "");
    let work = async {
        let greedy = line("update_wants_more", "new", "");
        let refused = host.deployments().plan(host.submission(&greedy)).await;
        let Err(SubmitError::Document(faults)) = refused else {
            panic!("it would be refused: {refused:?}")
        };
        assert_eq!(faults[0].code, "import-not-granted");
        let report = host.deploy(&greedy).await;
        let plan = report.plan.as_ref().unwrap();
        let of_plugin = plan.plugins.iter();
        let mut of_plugin = of_plugin.filter(|it| it.plugin.as_str() == UPDATED);
        let of_plugin = of_plugin.next().unwrap();
        assert_eq!(of_plugin.change, Change::Replaced);
        let mut anew = of_plugin.widens.iter();
        assert!(
            anew.any(|right| right.by == Asker::Component
                && !right.granted
                && right.kind == "import"
                && right.what.contains("keyvalue")),
            "{plan:?}"
        );
        assert_eq!(report.phase, Phase::Failed, "{report:?}");
        for fault in &report.faults {
            assert!(
                ["rights-widened", "import-not-granted"].contains(&&*fault.code),
                "{report:?}"
            );
            let widened = fault.code == "rights-widened";
            assert_eq!(fault.help.is_some(), widened, "{fault:?}");
        }
        assert!(
            report
                .faults
                .iter()
                .any(|fault| fault.code == "rights-widened")
        );
        assert_eq!(host.plugin(UPDATED).deployment, kept);
        let id = host.submit(&granted, WhenBusy::Refuse).await.unwrap();
        let report = host.ended(id).await;
        assert_eq!(report.phase, Phase::Committed, "{report:?}");
        let widens = &report.plan.unwrap().plugins[1].widens;
        assert!(!widens.is_empty() && widens.iter().all(|right| right.granted));
    };
    let ((), seen) = under_load(&host, work).await;
    assert_eq!(seen.labels(), ["old", "new"]);
    seen.assert_counts_go_on(&[]);
    host.stop().await;
}
