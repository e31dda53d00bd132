//! Tensors put together and taken apart along their first dimension.

use bytes::{Bytes, BytesMut};

use crate::inference::tensor::Tensor;

/// How many rows all of them have; none if they differ, or if one has none.
pub(super) fn rows_of(tensors: &[Tensor]) -> Option<u32> {
    let mut rows = tensors.iter().map(|it| it.dimensions().first().copied());
    let first = rows.next()??;
    rows.all(|rows| rows == Some(first)).then_some(first)
}

/// Whether rows of both are of one kind and size.
pub(super) fn are_alike(a: &[Tensor], b: &[Tensor]) -> bool {
    let row = |tensor: &Tensor| tensor.dimensions().get(1..).map(<[u32]>::to_vec);
    let alike = |(a, b): (&Tensor, &Tensor)| a.kind() == b.kind() && row(a) == row(b);
    a.len() == b.len() && a.iter().zip(b).all(alike)
}

/// One run of all of them, which are alike.
pub(super) fn join(members: &[&[Tensor]]) -> Option<Vec<Tensor>> {
    let first = members.first()?;
    let joined = first.iter().enumerate().map(|(index, tensor)| {
        let parts = members.iter().map(|member| member.get(index));
        let parts = parts.collect::<Option<Vec<_>>>()?;
        let mut rows = 0_u32;
        let mut data = BytesMut::with_capacity(parts.iter().map(|it| it.data().len()).sum());
        for part in parts {
            rows = rows.checked_add(*part.dimensions().first()?)?;
            data.extend_from_slice(part.data());
        }
        with_rows(tensor, rows, data.freeze())
    });
    joined.collect()
}

/// What each of them, with so many rows, gets of the outputs; none if the rows
/// are not as many as went in.
pub(super) fn split(outputs: &[Tensor], rows: &[u32]) -> Option<Vec<Vec<Tensor>>> {
    let sum = rows
        .iter()
        .try_fold(0_u32, |sum, rows| sum.checked_add(*rows))?;
    if outputs
        .iter()
        .any(|output| output.dimensions().first() != Some(&sum))
    {
        return None;
    }
    let mut from = 0_usize;
    let each = rows.iter().map(|&rows| {
        let count = usize::try_from(rows).ok()?;
        let begin = from;
        from = from.checked_add(count)?;
        let part = |output: &Tensor| {
            let row = output
                .data()
                .len()
                .checked_div(usize::try_from(sum).ok()?)?;
            let range = begin.checked_mul(row)?..from.checked_mul(row)?;
            // A copy: a small part must not keep the whole of others alive.
            let data = Bytes::copy_from_slice(output.data().get(range)?);
            with_rows(output, rows, data)
        };
        outputs.iter().map(part).collect()
    });
    each.collect()
}

fn with_rows(like: &Tensor, rows: u32, data: Bytes) -> Option<Tensor> {
    let mut dimensions = like.dimensions().to_vec();
    *dimensions.first_mut()? = rows;
    Tensor::new(dimensions, like.kind(), data).ok()
}
