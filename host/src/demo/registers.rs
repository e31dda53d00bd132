//! The data tables of one simulated machine, as a Modbus client sees them.
//!
//! The physical model writes inputs and reads setpoints; the server does the
//! opposite. Setpoints have bounds, as in a real controller: a write outside
//! them is refused and changes nothing.

/// The four tables of a Modbus device (Application Protocol 1.1b3, section 4.3).
#[derive(Debug, Clone)]
pub(super) struct Registers {
    inputs: Vec<u16>,
    discrete: Vec<bool>,
    holding: Vec<Setpoint>,
    coils: Vec<bool>,
}

/// A holding register and what may be written to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setpoint {
    pub(super) value: u16,
    pub(super) min: u16,
    pub(super) max: u16,
}

/// Why a table was not read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableError {
    /// Outside the table.
    Address,
    /// Outside the bounds of the setpoint.
    Value,
}

impl Registers {
    pub(super) fn new(
        inputs: usize,
        discrete: usize,
        holding: Vec<Setpoint>,
        coils: usize,
    ) -> Self {
        Self {
            inputs: vec![0; inputs],
            discrete: vec![false; discrete],
            holding,
            coils: vec![false; coils],
        }
    }

    pub(super) fn inputs(&self, address: u16, count: u16) -> Result<&[u16], TableError> {
        slice(&self.inputs, address, count)
    }

    pub(super) fn discrete(&self, address: u16, count: u16) -> Result<&[bool], TableError> {
        slice(&self.discrete, address, count)
    }

    pub(super) fn coils(&self, address: u16, count: u16) -> Result<&[bool], TableError> {
        slice(&self.coils, address, count)
    }

    pub(super) fn holding(&self, address: u16, count: u16) -> Result<Vec<u16>, TableError> {
        let setpoints = slice(&self.holding, address, count)?;
        Ok(setpoints.iter().map(|setpoint| setpoint.value).collect())
    }

    /// Writes all of `values`, or none of them.
    pub(super) fn write_holding(&mut self, address: u16, values: &[u16]) -> Result<(), TableError> {
        let start = usize::from(address);
        let end = start + values.len();
        let setpoints = self
            .holding
            .get_mut(start..end)
            .ok_or(TableError::Address)?;
        let fits =
            |(setpoint, value): (&Setpoint, &u16)| (setpoint.min..=setpoint.max).contains(value);
        if !setpoints.iter().zip(values).all(fits) {
            return Err(TableError::Value);
        }
        for (setpoint, value) in setpoints.iter_mut().zip(values) {
            setpoint.value = *value;
        }
        Ok(())
    }

    pub(super) fn write_coils(&mut self, address: u16, values: &[bool]) -> Result<(), TableError> {
        let start = usize::from(address);
        let end = start + values.len();
        let coils = self.coils.get_mut(start..end).ok_or(TableError::Address)?;
        coils.copy_from_slice(values);
        Ok(())
    }

    // What the model uses: its addresses are constants, so a miss is harmless.

    pub(super) fn setpoint(&self, address: usize) -> f64 {
        self.holding
            .get(address)
            .map_or(0.0, |s| f64::from(s.value))
    }

    pub(super) fn coil(&self, address: usize) -> bool {
        self.coils.get(address).copied().unwrap_or_default()
    }

    pub(super) fn set_discrete(&mut self, address: usize, value: bool) {
        if let Some(bit) = self.discrete.get_mut(address) {
            *bit = value;
        }
    }

    /// A 32-bit float, most significant register first.
    pub(super) fn set_f32(&mut self, address: usize, value: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "a float32 register")]
        let bits = (value as f32).to_bits();
        let [a, b, c, d] = bits.to_be_bytes();
        if let Some(words) = self.inputs.get_mut(address..address + 2) {
            words.copy_from_slice(&[u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]);
        }
    }

    /// An unsigned integer in steps of `step`, saturating.
    pub(super) fn set_u16(&mut self, address: usize, value: f64, step: f64) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float to integer cast saturates"
        )]
        let raw = (value / step).round() as u16;
        if let Some(word) = self.inputs.get_mut(address) {
            *word = raw;
        }
    }
}

fn slice<T>(table: &[T], address: u16, count: u16) -> Result<&[T], TableError> {
    let start = usize::from(address);
    let end = start + usize::from(count);
    table.get(start..end).ok_or(TableError::Address)
}

#[cfg(test)]
mod tests {
    use super::{Registers, Setpoint, TableError};

    fn two_setpoints() -> Registers {
        let setpoint = Setpoint {
            value: 5,
            min: 1,
            max: 9,
        };
        Registers::new(2, 1, vec![setpoint; 2], 2)
    }

    #[test]
    fn a_write_outside_the_bounds_changes_nothing() {
        let mut registers = two_setpoints();
        let refused = registers.write_holding(0, &[7, 10]);
        assert_eq!(refused, Err(TableError::Value));
        assert_eq!(registers.holding(0, 2).unwrap(), [5, 5]);
    }

    #[test]
    fn a_write_that_leaves_the_table_changes_nothing() {
        let mut registers = two_setpoints();
        assert_eq!(
            registers.write_holding(1, &[7, 7]),
            Err(TableError::Address)
        );
        assert_eq!(
            registers.write_coils(u16::MAX, &[true]),
            Err(TableError::Address)
        );
        assert_eq!(registers.inputs(1, 2), Err(TableError::Address));
        assert_eq!(registers.holding(0, 2).unwrap(), [5, 5]);
    }

    #[test]
    fn floats_and_scaled_integers_take_their_registers() {
        let mut registers = two_setpoints();
        registers.set_f32(0, 123.456);
        assert_eq!(registers.inputs(0, 2).unwrap(), [0x42f6, 0xe979]);
        registers.set_u16(0, 15.26, 0.1);
        registers.set_u16(1, -4.0, 0.1);
        assert_eq!(registers.inputs(0, 2).unwrap(), [153, 0]);
    }
}
