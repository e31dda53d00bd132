;; Has a memory with 64-bit addresses.
(component
  (core module $guest (memory (export "memory") i64 1))
  (core instance (instantiate $guest))
  ;; Fit in every other way.
  (core module $fit (memory (export "memory") 1)
    (func (export "tick") (result i32) (i32.const 0)))
  (core instance $fit (instantiate $fit))
  (func $tick (result (result (option u32) (error string)))
    (canon lift (core func $fit "tick") (memory $fit "memory")))
  (instance $ticker (export "tick" (func $tick)))
  (export "selvedge:plugin/ticker@0.1.0" (instance $ticker)))
