//! Guests that feed themselves: found by how far a message has come, not by luck.

use std::time::Duration;

use selvedge::supervisor::UnitState;

use crate::support::{Host, Plugin, filters, within};

/// Plugins that what led to a message may have passed through, unless configured.
const HOPS_MAX: u8 = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_feeds_itself_stops_at_the_bound_and_it_is_said() {
    for which in ["swap_loops:at-once", "swap_loops:by-tick"] {
        let host = Host::start().await;
        let mut rounds = host.listen("offence/again");
        let mut letters = host.listen("$selvedge/dead-letter/offender");
        let plugin = Plugin::guest(which);
        let plugin = plugin.grants(|grants| grants.publish = filters(&["offence/again"]));
        let seat = host.seat(plugin.name);
        let plugin = host.generation(&seat, plugin).await.unwrap();
        plugin.take_over(None).await.unwrap();
        host.begin(&plugin);

        host.publish("offence/go", "0").await;
        let letter = letters.message().await;
        let property = |name: &str| letter.properties.get(name).unwrap();
        assert_eq!(property("dead-letter-topic"), "offence/again");
        assert_eq!(
            property("dead-letter-reason"),
            "it passed through more than 32 plugins: topics form a cycle"
        );
        // Who listens to it may still say so.
        assert_eq!((&*letter.payload, letter.hops), (&b"33"[..], 1));
        for round in 1..=HOPS_MAX {
            assert_eq!(rounds.message().await.hops, round);
        }
        assert_eq!(rounds.arrived(), [""; 0]);
        assert_eq!(plugin.tally().looped_total, 1);
        assert_eq!(plugin.tally().handled_total, 33);

        // What comes later is not held against it; each is counted, few are told.
        for _ in 0..20 {
            host.publish("offence/go", "0").await;
        }
        let counted = async {
            while plugin.tally().looped_total < 21 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        within("a count", counted).await;
        // In a batch all count as far as the furthest.
        assert!(rounds.arrived().len() <= 20 * usize::from(HOPS_MAX));
        assert!(letters.arrived().len() < 20, "{which}");
        assert_eq!(host.state("offender"), UnitState::Running);
        host.neighbour_answers().await;
        host.shut_down().await;
    }
}
