//! What an instance may allocate, summed over everything it is made of.

use wasmtime::ResourceLimiter;

/// Sums linear memories and tables, however many there are.
#[derive(Debug, Clone)]
pub struct Limiter {
    memory_bytes: Sum,
    table_elements: Sum,
}

/// Something that may grow up to a limit.
#[derive(Debug, Clone)]
struct Sum {
    used: usize,
    max: usize,
    refused: u64,
}

impl Sum {
    fn up_to(max: u64) -> Self {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        Self {
            used: 0,
            max,
            refused: 0,
        }
    }

    /// Whether one part of it may grow; `maximum` is the part's own limit.
    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let allowed = used <= self.max && maximum.is_none_or(|max| desired <= max);
        if allowed {
            self.used = used;
        } else {
            self.refused = self.refused.saturating_add(1);
        }
        allowed
    }
}

impl Limiter {
    pub(super) fn new(memory_bytes_max: u64, table_elements_max: u32) -> Self {
        Self {
            memory_bytes: Sum::up_to(memory_bytes_max),
            table_elements: Sum::up_to(table_elements_max.into()),
        }
    }

    /// Bytes of linear memory that the instance holds.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes.used
    }

    /// How often it was refused to grow.
    pub fn refused(&self) -> u64 {
        self.memory_bytes
            .refused
            .saturating_add(self.table_elements.refused)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.memory_bytes.grow(current, desired, maximum))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.table_elements.grow(current, desired, maximum))
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
