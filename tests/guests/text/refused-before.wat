;; Imports what no host offers, and could not be compiled here either.
(component
  (import "acme:secrets/vault" (instance))
  (core module $guest (memory i64 1)
    (func (export "tick") (result i32) (i32.const 1)))
  (core instance $guest (instantiate $guest))
  (func $tick (result (result)) (canon lift (core func $guest "tick")))
  (instance $ticker (export "tick" (func $tick)))
  (export "selvedge:plugin/ticker@0.1.0" (instance $ticker)))
