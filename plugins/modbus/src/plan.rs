//! Which reads give all points of a group.
//!
//! Points are sorted by table and address; overlapping ones form a *cell*,
//! which is never torn over two reads. Neighbouring cells are joined into a
//! block while the gap and the block's length allow it. When a device refuses
//! a block, the block is cut where the fault is likeliest, until the guilty
//! cell stands alone and is dropped.

use crate::config::{Device, Point};
use crate::pdu::{Request, Table};

/// Points that must be read together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    table: Table,
    start: u32,
    end: u32,
    points: Vec<usize>,
    /// Never joined with the cell before it.
    cut: bool,
}

/// One read and the points that it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The table that is read.
    pub table: Table,
    /// The first address.
    pub start: u16,
    /// How many registers or bits.
    pub count: u16,
    /// Places of the points in the device's list.
    pub points: Vec<usize>,
    cells: std::ops::Range<usize>,
}

impl Block {
    /// Where it begins, for [`Plan::block_at`].
    pub fn place(&self) -> usize {
        self.cells.start
    }

    /// Where the next block begins.
    pub fn after(&self) -> usize {
        self.cells.end
    }

    /// The request that reads it.
    pub fn request(&self) -> Request {
        Request::Read {
            table: self.table,
            address: self.start,
            count: self.count,
        }
    }
}

/// What a refused block became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It was cut in two.
    Cut,
    /// Its only cell is dropped.
    Dropped,
}

/// The reads of one group.
#[derive(Debug, Clone)]
pub struct Plan {
    cells: Vec<Cell>,
    gap_max: u32,
    registers_max: u16,
    bits_max: u16,
}

impl Plan {
    /// For the points at these places in the device's list.
    pub fn new(device: &Device, chosen: impl IntoIterator<Item = usize>) -> Self {
        let mut plan = Self {
            cells: Vec::new(),
            gap_max: device.gap_max.into(),
            registers_max: device.registers_max,
            bits_max: device.bits_max,
        };
        let mut points: Vec<(usize, &Point)> = chosen
            .into_iter()
            .filter_map(|place| Some((place, device.points.get(place)?)))
            .collect();
        points.sort_by_key(|(place, point)| (point.table, point.address, *place));
        for (place, point) in points {
            plan.add(place, point);
        }
        plan
    }

    fn add(&mut self, place: usize, point: &Point) {
        let (start, end) = (
            u32::from(point.address),
            u32::from(point.address) + u32::from(point.span()),
        );
        let longest = self.longest(point.table);
        if let Some(last) = self.cells.last_mut()
            && last.table == point.table
            && start < last.end
            && end.max(last.end) - last.start <= longest
        {
            last.end = last.end.max(end);
            last.points.push(place);
            return;
        }
        self.cells.push(Cell {
            table: point.table,
            start,
            end,
            points: vec![place],
            cut: false,
        });
    }

    fn longest(&self, table: Table) -> u32 {
        if table.is_bits() {
            self.bits_max.into()
        } else {
            self.registers_max.into()
        }
    }

    /// The block that begins at this place, 0 for the first.
    ///
    /// After an answer go on at [`Block::after`]; after a refusal ask again at
    /// the same place, where something else stands now.
    pub fn block_at(&self, from: usize) -> Option<Block> {
        let rest = self.cells.get(from..)?;
        let first = rest.first()?;
        let (mut end, mut points, mut until) = (first.end, first.points.clone(), from + 1);
        for cell in rest.get(1..)? {
            let joins = !cell.cut
                && cell.table == first.table
                && cell.start <= end + self.gap_max
                && cell.end.max(end) - first.start <= self.longest(first.table);
            if !joins {
                break;
            }
            end = end.max(cell.end);
            points.extend(&cell.points);
            until += 1;
        }
        Some(Block {
            table: first.table,
            start: u16::try_from(first.start).ok()?,
            count: u16::try_from(end - first.start).ok()?,
            points,
            cells: from..until,
        })
    }

    /// The device refused this block: its addresses do not all exist, or they
    /// are too many.
    pub fn refused(&mut self, block: &Block) -> Refusal {
        let (from, until) = (block.cells.start, block.cells.end);
        if until - from <= 1 {
            if from < self.cells.len() {
                self.cells.remove(from);
                // What was apart because of it stays apart.
                if let Some(next) = self.cells.get_mut(from) {
                    next.cut = true;
                }
            }
            return Refusal::Dropped;
        }
        let at = self.cut_place(from, until);
        if let Some(cell) = self.cells.get_mut(at) {
            cell.cut = true;
        }
        Refusal::Cut
    }

    /// The widest gap, else the middle.
    fn cut_place(&self, from: usize, until: usize) -> usize {
        let cells = self.cells.get(from..until).unwrap_or_default();
        let widest = (from + 1..until)
            .zip(cells.windows(2))
            .filter_map(|(at, pair)| match pair {
                [before, after] => Some((after.start.saturating_sub(before.end), at)),
                _ => None,
            })
            .max_by_key(|(gap, _)| *gap);
        match widest {
            Some((gap, at)) if gap > 0 => at,
            _ => from.midpoint(until),
        }
    }

    /// Takes a block out, with all its points: the device has no such function.
    pub fn drop_block(&mut self, block: &Block) {
        let points = &block.points;
        self.cells
            .retain(|cell| !cell.points.iter().any(|point| points.contains(point)));
    }
}

#[cfg(test)]
#[path = "plan/tests.rs"]
mod tests;
