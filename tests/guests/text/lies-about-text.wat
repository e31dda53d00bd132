;; Answers with an error text that lies outside its memory.
(component
  (core module $guest
    (memory (export "memory") 1)
    (func (export "tick") (result i32)
      (i32.store8 (i32.const 0) (i32.const 1))
      (i32.store (i32.const 4) (i32.const 65000))
      (i32.store (i32.const 8) (i32.const 0x7fffffff))
      (i32.const 0))
  )
  (core instance $guest (instantiate $guest))
  (func $tick (result (result (option u32) (error string)))
    (canon lift (core func $guest "tick") (memory $guest "memory")))
  (instance $ticker (export "tick" (func $tick)))
  (export "selvedge:plugin/ticker@0.1.0" (instance $ticker)))
