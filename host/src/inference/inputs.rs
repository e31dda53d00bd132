//! Whether what a caller feeds a model fits it.
//!
//! All of it is decided here, from the model's description alone, so that a
//! backend never sees an input it could misread.

use std::sync::Arc;

use super::errors::RunError;
use super::interface::{Dim, Port};
use super::shown::shown;
use super::tensor::{Tensor, TensorError};

/// Checks the inputs and puts them into the model's order.
pub(super) fn arrange(
    ports: &[Port],
    given: Vec<(String, Tensor)>,
) -> Result<Vec<Tensor>, RunError> {
    let mut arranged: Vec<Option<Tensor>> = vec![None; ports.len()];
    for (name, tensor) in given {
        let mut slots = ports.iter().zip(&mut arranged);
        match slots.find(|(port, _)| *port.name == name) {
            None => {
                let takes = ports.iter().map(|port| format!("`{}`", port.name));
                return Err(RunError::UnknownInput {
                    name: shown(&name),
                    takes: shown_list(takes),
                });
            }
            Some((_, Some(_))) => {
                return Err(RunError::RepeatedInput { name: shown(&name) });
            }
            Some((port, slot)) => {
                check(port, &tensor)?;
                *slot = Some(tensor);
            }
        }
    }
    let arranged = ports.iter().zip(arranged).map(|(port, tensor)| {
        let name = || Arc::clone(&port.name);
        tensor.ok_or_else(|| RunError::MissingInput { name: name() })
    });
    let arranged = arranged.collect::<Result<Vec<_>, _>>()?;
    check_dimensions(ports, &arranged)?;
    Ok(arranged)
}

fn check(port: &Port, tensor: &Tensor) -> Result<(), RunError> {
    let name = || Arc::clone(&port.name);
    let given = || tensor.dimensions().to_vec();
    if tensor.kind() != port.kind {
        return Err(RunError::WrongKind {
            name: name(),
            given: tensor.kind(),
            takes: port.kind,
        });
    }
    let dimensions = tensor.dimensions();
    let fits = |(dim, size): (&Dim, &u32)| !matches!(dim, Dim::Fixed(fixed) if fixed != size);
    let single = port.shape.is_empty() && dimensions == [1];
    let same = dimensions.len() == port.shape.len() && port.shape.iter().zip(dimensions).all(fits);
    if !(single || same) {
        return Err(RunError::WrongShape {
            name: name(),
            given: given(),
            takes: shown_list(port.shape.iter().map(Dim::to_string)),
        });
    }
    // What an operator makes of nothing has no bound in what it is given.
    if tensor.data().is_empty() {
        return Err(RunError::EmptyInput {
            name: name(),
            given: given(),
        });
    }
    Ok(())
}

/// Dimensions of one name must be of one size.
fn check_dimensions(ports: &[Port], inputs: &[Tensor]) -> Result<(), RunError> {
    let mut seen: Vec<(&Arc<str>, u32)> = Vec::new();
    for (port, tensor) in ports.iter().zip(inputs) {
        for (dim, &given) in port.shape.iter().zip(tensor.dimensions()) {
            let Dim::Named(dimension) = dim else { continue };
            match seen.iter().find(|(name, _)| *name == dimension) {
                None => seen.push((dimension, given)),
                Some((_, before)) if *before == given => {}
                Some((_, before)) => {
                    return Err(RunError::DimensionsDiffer {
                        name: Arc::clone(&port.name),
                        dimension: Arc::clone(dimension),
                        given,
                        before: *before,
                    });
                }
            }
        }
    }
    Ok(())
}

/// The smallest input that fits, all zero.
pub(super) fn smallest(port: &Port) -> Result<(String, Tensor), TensorError> {
    let dimensions = port.shape.iter().map(|dim| match dim {
        Dim::Fixed(size) => *size,
        Dim::Named(_) | Dim::Any => 1,
    });
    let dimensions: Vec<u32> = dimensions.collect();
    let tensor = Tensor::zeros(dimensions, port.kind)?;
    Ok((port.name.to_string(), tensor))
}

fn shown_list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.take(16).map(|item| shown(&item)).collect();
    items.join(", ")
}
