use super::{FrameError, Header, read};
use crate::config::Bounds;

/// A frame header for so many rows, columns and colours, at 8 bits each.
fn sof(marker: u8, height: u16, width: u16, colours: u8) -> Vec<u8> {
    let [h1, h0] = height.to_be_bytes();
    let [w1, w0] = width.to_be_bytes();
    let mut segment = vec![0xFF, marker, 0, 8 + 3 * colours, 8, h1, h0, w1, w0, colours];
    segment.extend((1..=colours).flat_map(|id| [id, 0x11, 0]));
    segment
}

/// A scan of a little data, with a stuffed byte and a restart marker in it.
const SCAN: &[u8] = &[0xFF, 0xDA, 0, 2, 1, 0xFF, 0, 2, 0xFF, 0xD0, 3];

fn jpeg(parts: &[&[u8]]) -> Vec<u8> {
    [&[0xFF, 0xD8], parts.concat().as_slice(), &[0xFF, 0xD9]].concat()
}

#[track_caller]
fn refused(jpeg: &[u8], bounds: Bounds, why: &str) {
    let error = read(jpeg, &bounds).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn size_and_colours_are_read() {
    let bounds = Bounds::default();
    let comment = [0xFF, 0xFF, 0xFE, 0, 4, 0xFF, 0xC0];
    let found = read(&jpeg(&[&comment, &sof(0xC0, 480, 640, 3), SCAN]), &bounds);
    let header = Header {
        width: 640,
        height: 480,
        grey: false,
    };
    assert_eq!(found, Ok(header));
    let found = read(&jpeg(&[&sof(0xC1, 1, 1, 1), SCAN]), &bounds).unwrap();
    assert!(found.grey);
}

#[test]
fn what_is_too_large_is_refused_whatever_follows() {
    let bounds = Bounds::default();
    let largest = [&[0xFF, 0xD8][..], &sof(0xC0, 65_535, 65_535, 3)].concat();
    refused(
        &largest,
        bounds,
        "65535 x 65535, larger than `width_max` x `height_max`, 1280 x 960",
    );
    refused(&jpeg(&[&sof(0xC0, 961, 1, 3), SCAN]), bounds, "larger than");
    let small = Bounds {
        bytes_max: 10,
        ..bounds
    };
    refused(
        &[0; 11],
        small,
        "the frame has 11 bytes, more than `bytes_max`, 10",
    );
}

#[test]
fn several_scans_need_leave_and_have_an_end() {
    let allowed = Bounds {
        progressive: true,
        ..Bounds::default()
    };
    let twice = jpeg(&[&sof(0xC0, 8, 8, 3), SCAN, SCAN]);
    refused(&twice, Bounds::default(), "`progressive` does not allow");
    assert!(read(&twice, &allowed).is_ok());
    let progressive = jpeg(&[&sof(0xC2, 8, 8, 3), SCAN]);
    refused(
        &progressive,
        Bounds::default(),
        "`progressive` does not allow",
    );
    assert!(read(&progressive, &allowed).is_ok());
    let endless = jpeg(&[&sof(0xC2, 8, 8, 3), &SCAN.repeat(17)]);
    refused(&endless, allowed, "more than 16 scans");
}

#[test]
fn what_is_not_decoded_is_named() {
    let kind = |sof: Vec<u8>, why| refused(&jpeg(&[&sof, SCAN]), Bounds::default(), why);
    kind(sof(0xC3, 8, 8, 3), "a lossless JPEG");
    kind(sof(0xC5, 8, 8, 3), "a hierarchical JPEG");
    kind(sof(0xC9, 8, 8, 3), "an arithmetically coded JPEG");
    kind(sof(0xC0, 8, 8, 4), "in four colours (CMYK)");
    kind(sof(0xC0, 8, 8, 2), "neither grey nor in three colours");
    kind(sof(0xC0, 0, 8, 3), "width or height is zero");
    let mut deep = sof(0xC0, 8, 8, 3);
    deep[4] = 12;
    kind(deep, "not of 8 bits a colour");
}

#[test]
fn nonsense_is_refused_with_a_reason() {
    let bounds = Bounds::default();
    for none in [&b""[..], b"\xFF", b"\x89PNG\r\n", &[0; 64]] {
        assert_eq!(read(none, &bounds), Err(FrameError::NotJpeg));
    }
    let good = jpeg(&[&sof(0xC0, 8, 8, 3), SCAN]);
    for length in 2..good.len() {
        assert!(read(&good[..length], &bounds).is_err(), "{length}");
    }
    assert_eq!(
        read(&good[..good.len() - 2], &bounds),
        Err(FrameError::CutOff)
    );
    refused(&jpeg(&[]), bounds, "it has no picture");
    refused(
        &jpeg(&[SCAN]),
        bounds,
        "a scan comes before the frame header",
    );
    let sof = sof(0xC0, 8, 8, 3);
    refused(&jpeg(&[&sof, &sof, SCAN]), bounds, "two frame headers");
    refused(&jpeg(&[&[7]]), bounds, "bytes between segments");
    refused(&jpeg(&[&[0xFF, 0xD3]]), bounds, "out of place");
    refused(
        &jpeg(&[&[0xFF, 0xFE, 0, 1]]),
        bounds,
        "shorter than its length",
    );
    let comments = [0xFF, 0xFE, 0, 2].repeat(2_000);
    refused(&jpeg(&[&comments, &sof, SCAN]), bounds, "too many segments");
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, tail: Vec<u8>) {
        drop(read(&bytes, &Bounds::default()));
        let parts: [&[u8]; 3] = [&bytes, &sof(0xC0, 8, 8, 3), &tail];
        drop(read(&jpeg(&parts), &Bounds::default()));
    }
}
