;; Exports the ticker with a function of another type.
(component
  (core module $guest (func (export "tick") (result i32) (i32.const 1)))
  (core instance $guest (instantiate $guest))
  (func $tick (result u32) (canon lift (core func $guest "tick")))
  (instance $ticker (export "tick" (func $tick)))
  (export "selvedge:plugin/ticker@0.1.0" (instance $ticker)))
