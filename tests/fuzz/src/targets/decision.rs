//! The decision about an artifact: manifest, configuration, component and
//! bundles of the input, in this order, in place of the true ones.

use std::sync::LazyLock;

use bytes::Bytes;
use selvedge_signing::{Candidate, Device, Purpose, Refusal, Request, VerifiedArtifact};

use crate::parts::split;
use crate::printable::accepted;
use crate::world::{NOW, WORLD, World};

/// What is true is accepted: else nothing here would say anything.
static TRUTH: LazyLock<()> = LazyLock::new(|| {
    let verified = verify(&WORLD, &WORLD.candidate);
    verified.expect("it is signed as the policy wants");
});

pub(super) fn check(bytes: &[u8]) {
    let () = *TRUTH;
    let world = &*WORLD;
    let candidate = candidate(world, bytes);
    if let Some(verified) = accepted(verify(world, &candidate)) {
        assert_eq!(verified.origin().digest(), world.digest);
        assert_eq!(Some(verified.component()), world.candidate.component());
        assert_eq!(candidate.manifest, world.candidate.manifest);
        assert_eq!(candidate.config, world.candidate.config);
    }
}

/// Asks for as little as can be asked for: signatures alone decide.
fn verify(world: &World, candidate: &Candidate) -> Result<VerifiedArtifact, Refusal> {
    let device = Device {
        now: NOW,
        purpose: Purpose::Install,
        version_seen: None,
        accepted: &[],
    };
    let request = Request {
        package: "acme/thermostat".parse().expect("it is a name"),
        version: None,
        digest: None,
    };
    world.verifier.verify(&request, candidate, &device)
}

fn candidate(world: &World, bytes: &[u8]) -> Candidate {
    let mut candidate = world.candidate.clone();
    for (number, part) in split(bytes).into_iter().enumerate() {
        if part.is_empty() {
            continue;
        }
        match number {
            0 => candidate.manifest = part,
            1 => candidate.config = part,
            2 => candidate.layers = vec![part],
            _ => replace(&mut candidate.bundles, number - 3, part),
        }
    }
    candidate
}

fn replace(bundles: &mut Vec<Bytes>, number: usize, bundle: Bytes) {
    match bundles.get_mut(number) {
        Some(old) => *old = bundle,
        None => bundles.push(bundle),
    }
}
