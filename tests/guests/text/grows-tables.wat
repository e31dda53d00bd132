;; Grows two tables in turn until it is refused, and fails saying so; traps if both
;; together got more than ten thousand elements.
(component
  (core module $guest
    (memory (export "memory") 1)
    (data (i32.const 64) "no more elements")
    (table $one 0 funcref)
    (table $two 0 funcref)
    (func (export "tick") (result i32)
      (block $refused
        (loop $again
          (br_if $refused (i32.eq (i32.const -1)
            (table.grow $one (ref.null func) (i32.const 100))))
          (br_if $refused (i32.eq (i32.const -1)
            (table.grow $two (ref.null func) (i32.const 100))))
          (br $again)))
      (if (i32.gt_u (i32.add (table.size $one) (table.size $two)) (i32.const 10000))
        (then unreachable))
      (i32.store8 (i32.const 0) (i32.const 1))
      (i32.store (i32.const 4) (i32.const 64))
      (i32.store (i32.const 8) (i32.const 16))
      (i32.const 0))
  )
  (core instance $guest (instantiate $guest))
  (func $tick (result (result (option u32) (error string)))
    (canon lift (core func $guest "tick") (memory $guest "memory")))
  (instance $ticker (export "tick" (func $tick)))
  (export "selvedge:plugin/ticker@0.1.0" (instance $ticker)))
