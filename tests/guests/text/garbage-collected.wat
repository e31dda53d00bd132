;; Has values that would need a garbage collector.
(component
  (core module $guest
    (type $pair (struct (field i32) (field i32)))
    (func (export "make") (drop (struct.new_default $pair))))
  (core instance (instantiate $guest))
  ;; Fit in every other way.
  (core module $fit (memory (export "memory") 1)
    (func (export "tick") (result i32) (i32.const 0)))
  (core instance $fit (instantiate $fit))
  (func $tick (result (result (option u32) (error string)))
    (canon lift (core func $fit "tick") (memory $fit "memory")))
  (instance $ticker (export "tick" (func $tick)))
  (export "selvedge:plugin/ticker@0.1.0" (instance $ticker)))
