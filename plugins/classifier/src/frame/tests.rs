use proptest::prelude::{ProptestConfig, any};

use super::{Frame, FrameError};
use crate::config::Bounds;
use crate::tests::sample;

const ALL: Bounds = Bounds {
    width_max: 1_280,
    height_max: 960,
    bytes_max: 1 << 20,
    progressive: true,
};

#[test]
fn frames_of_a_real_encoder_are_decoded() {
    for name in [
        "normal",
        "high",
        "alarm-lamp",
        "blocked-view",
        "progressive",
    ] {
        let frame = Frame::decode(&sample(name), &ALL).unwrap();
        assert_eq!(frame.channels, 3, "{name}");
        assert!(frame.width >= 240 && frame.height >= 240, "{name}");
    }
    assert_eq!(Frame::decode(&sample("grey"), &ALL).unwrap().channels, 1);
}

#[test]
fn what_may_not_be_decoded_is_refused_with_a_reason() {
    let refused = Frame::decode(&sample("cmyk"), &ALL);
    assert_eq!(refused, Err(FrameError::Kind("in four colours (CMYK)")));
    let refused = Frame::decode(&sample("progressive"), &Bounds::default());
    assert_eq!(refused, Err(FrameError::Progressive));
    let narrow = Bounds {
        width_max: 100,
        ..ALL
    };
    let refused = Frame::decode(&sample("normal"), &narrow).unwrap_err();
    assert!(matches!(refused, FrameError::TooLarge { .. }), "{refused}");
}

#[test]
fn a_frame_that_is_cut_off_is_not_judged() {
    let whole = sample("normal");
    for length in (0..whole.len()).step_by(97) {
        assert!(Frame::decode(&whole[..length], &ALL).is_err(), "{length}");
    }
}

proptest::proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// In the sandbox a panic is a trap, and every trap a failure of the plugin.
    #[test]
    fn damage_does_not_make_it_panic(
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20),
        which in 0_usize..3,
    ) {
        let mut jpeg = sample(["normal", "grey", "progressive"][which]);
        for (place, byte) in damage {
            let place = place.index(jpeg.len());
            jpeg[place] = byte;
        }
        drop(Frame::decode(&jpeg, &ALL));
    }
}
