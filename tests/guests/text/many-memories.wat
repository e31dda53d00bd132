;; Has more memories than one component may have.
(component
  (core module $guest
    (memory (export "memory") 1)
    (memory 1) (memory 1) (memory 1) (memory 1) (memory 1) (memory 1) (memory 1) (memory 1)
    (func (export "tick") (result i32) (i32.const 0))
  )
  (core instance $guest (instantiate $guest))
  (func $tick (result (result (option u32) (error string)))
    (canon lift (core func $guest "tick") (memory $guest "memory")))
  (instance $ticker (export "tick" (func $tick)))
  (export "selvedge:plugin/ticker@0.1.0" (instance $ticker)))
