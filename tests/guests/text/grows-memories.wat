;; Grows three memories in turn until it is refused, and fails saying so; traps if
;; together they got more than a mebibyte.
(component
  (core module $guest
    (memory $one (export "memory") 1)
    (memory $two 1)
    (memory $three 1)
    (data (i32.const 64) "no more memory")
    (func (export "tick") (result i32)
      (block $refused
        (loop $again
          (br_if $refused (i32.eq (i32.const -1) (memory.grow $one (i32.const 1))))
          (br_if $refused (i32.eq (i32.const -1) (memory.grow $two (i32.const 1))))
          (br_if $refused (i32.eq (i32.const -1) (memory.grow $three (i32.const 1))))
          (br $again)))
      (if (i32.gt_u
            (i32.add (memory.size $one) (i32.add (memory.size $two) (memory.size $three)))
            (i32.const 16))
        (then unreachable))
      (i32.store8 (i32.const 0) (i32.const 1))
      (i32.store (i32.const 4) (i32.const 64))
      (i32.store (i32.const 8) (i32.const 14))
      (i32.const 0))
  )
  (core instance $guest (instantiate $guest))
  (func $tick (result (result (option u32) (error string)))
    (canon lift (core func $guest "tick") (memory $guest "memory")))
  (instance $ticker (export "tick" (func $tick)))
  (export "selvedge:plugin/ticker@0.1.0" (instance $ticker)))
