//! What an instance may allocate, summed over everything it is made of.

use wasmtime::ResourceLimiter;

/// Sums linear memories and tables, however many there are.
#[derive(Debug, Clone)]
pub struct Limiter {
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements: usize,
    table_elements_max: usize,
    refused: u64,
}

impl Limiter {
    pub(super) fn new(memory_bytes_max: u64, table_elements_max: u32) -> Self {
        Self {
            memory_bytes: 0,
            memory_bytes_max: usize::try_from(memory_bytes_max).unwrap_or(usize::MAX),
            table_elements: 0,
            table_elements_max: usize::try_from(table_elements_max).unwrap_or(usize::MAX),
            refused: 0,
        }
    }

    /// Bytes of linear memory that the instance holds.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// How often it was refused to grow.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self
            .memory_bytes
            .saturating_add(desired.saturating_sub(current));
        let allowed = total <= self.memory_bytes_max && maximum.is_none_or(|max| desired <= max);
        if allowed {
            self.memory_bytes = total;
        } else {
            self.refused = self.refused.saturating_add(1);
        }
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self
            .table_elements
            .saturating_add(desired.saturating_sub(current));
        let allowed = total <= self.table_elements_max && maximum.is_none_or(|max| desired <= max);
        if allowed {
            self.table_elements = total;
        } else {
            self.refused = self.refused.saturating_add(1);
        }
        Ok(allowed)
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::ResourceLimiter as _;

    use super::Limiter;

    #[test]
    fn memories_and_tables_are_summed() {
        let mut limiter = Limiter::new(100, 10);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(60, 100, None).unwrap());
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(!limiter.table_growing(0, 1, None).unwrap());
        assert_eq!((limiter.memory_bytes(), limiter.refused()), (100, 2));
    }
}
