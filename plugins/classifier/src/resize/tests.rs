use super::{Part, resize};
use crate::frame::Frame;

fn grey(width: usize, height: usize, pixels: &[u8]) -> Frame {
    Frame {
        width,
        height,
        channels: 1,
        pixels: pixels.to_vec(),
    }
}

#[track_caller]
fn check(frame: &Frame, part: Part, width: usize, height: usize, expected: &[f32]) {
    let found = resize(frame, part, width, height);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-3, "{found} is not {expected}");
    }
}

#[test]
fn a_pixel_is_the_mean_of_what_it_covers() {
    let frame = grey(4, 2, &[0, 10, 20, 30, 40, 50, 60, 70]);
    let whole = Part::whole(&frame);
    check(&frame, whole, 2, 1, &[25.0, 45.0]);
    check(
        &frame,
        whole,
        4,
        2,
        &[0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0],
    );
    // Three columns of four: a third of a neighbour is covered.
    let row = grey(4, 1, &[0, 30, 60, 90]);
    check(&row, Part::whole(&row), 3, 1, &[7.5, 45.0, 82.5]);
    // Pixels repeat when it grows.
    let row = grey(2, 1, &[0, 100]);
    check(&row, Part::whole(&row), 4, 1, &[0.0, 0.0, 100.0, 100.0]);
    check(&row, Part::whole(&row), 3, 1, &[0.0, 50.0, 100.0]);
}

#[test]
fn the_middle_is_the_largest_part_of_the_same_proportions() {
    let part = |width, height, w, h| {
        let Part {
            left,
            top,
            width,
            height,
        } = Part::middle(&grey(width, height, &[]), w, h);
        (left, top, width, height)
    };
    assert_eq!(part(320, 240, 96, 96), (40, 0, 240, 240));
    assert_eq!(part(240, 321, 96, 96), (0, 40, 240, 240));
    assert_eq!(part(100, 100, 200, 100), (0, 25, 100, 50));
    assert_eq!(part(1, 4_096, 1_024, 1), (0, 2_047, 1, 1));
    let frame = grey(4, 1, &[0, 10, 20, 30]);
    check(&frame, Part::middle(&frame, 2, 1), 1, 1, &[15.0]);
}

#[test]
fn colours_do_not_mix() {
    let frame = Frame {
        width: 2,
        height: 1,
        channels: 3,
        pixels: vec![10, 20, 30, 30, 40, 50],
    };
    check(&frame, Part::whole(&frame), 1, 1, &[20.0, 30.0, 40.0]);
}

proptest::proptest! {
    #[test]
    fn the_mean_stays_within_the_frame(
        width in 1_usize..40, height in 1_usize..40, w in 1_usize..40, h in 1_usize..40, seed: u8,
    ) {
        let byte = |n: usize| u8::try_from((n * 37 + usize::from(seed)) % 256).unwrap();
        let pixels: Vec<_> = (0..width * height).map(byte).collect();
        let frame = grey(width, height, &pixels);
        let whole = resize(&frame, Part::whole(&frame), w, h);
        let mean = |sum: f32, count: usize| sum / count as f32;
        let before = mean(pixels.iter().copied().map(f32::from).sum(), pixels.len());
        let after = mean(whole.iter().sum(), whole.len());
        // Whatever the sizes, nothing is lost and nothing added.
        proptest::prop_assert!((before - after).abs() < 0.1, "{} {}", before, after);
        let middle = resize(&frame, Part::middle(&frame, w, h), w, h);
        proptest::prop_assert!(middle.iter().all(|value| (0.0..=255.01).contains(value)));
    }
}
