;; Exports a function, but none that the host knows.
(component
  (core module $guest (func (export "f")))
  (core instance $guest (instantiate $guest))
  (func $f (canon lift (core func $guest "f")))
  (instance $tickler (export "tick" (func $f)))
  (export "selvedge:plugin/tickler@0.1.0" (instance $tickler))
  (export "tick" (func $f)))
