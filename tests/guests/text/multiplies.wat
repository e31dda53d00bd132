;; Publishes one batch whose thousand messages all name the same mebibyte: for the
;; guest it is one mebibyte, for a careless host a gibibyte.
(component
  (import "selvedge:bus/types@0.1.0" (instance $types
    (type $message (record
      (field "topic" string)
      (field "payload" (list u8))
      (field "content-type" (option string))
      (field "published-at" u64)
      (field "retain" bool)
      (field "reply-to" (option string))
      (field "correlation" (option (list u8)))
      (field "properties" (list (tuple string string)))))
    (export "message" (type (eq $message)))))
  (alias export $types "message" (type $message))
  (import "selvedge:bus/publisher@0.1.0" (instance $publisher
    (alias outer 1 $message (type $message-of-types))
    (export "message" (type $message (eq $message-of-types)))
    (type $delivery' (enum "at-most-once" "at-least-once"))
    (export "delivery" (type $delivery (eq $delivery')))
    (type $refusal' (variant
      (case "invalid-topic") (case "not-granted") (case "too-large" u32)
      (case "malformed") (case "busy" u32) (case "too-many-hops")))
    (export "refusal" (type $refusal (eq $refusal')))
    (type $error' (record (field "index" u32) (field "reason" $refusal)))
    (export "publish-error" (type $error (eq $error')))
    (export "publish" (func
      (param "messages" (list $message))
      (param "delivery" $delivery)
      (result (result (error $error)))))))
  (core module $heap
    (memory (export "memory") 32)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
  (core instance $heap (instantiate $heap))
  (core func $publish (canon lower (func $publisher "publish")
    (memory $heap "memory") (realloc (func $heap "realloc"))))
  (core module $guest
    (import "heap" "memory" (memory 32))
    (import "host" "publish" (func $publish (param i32 i32 i32 i32)))
    (data (i32.const 16) "flood/x")
    (func (export "tick") (result i32)
      (local $at i32)
      (local $left i32)
      (local.set $at (i32.const 4096))
      (local.set $left (i32.const 1000))
      (loop $next
        (i32.store (local.get $at) (i32.const 16))
        (i32.store offset=4 (local.get $at) (i32.const 7))
        (i32.store offset=8 (local.get $at) (i32.const 0x100000))
        (i32.store offset=12 (local.get $at) (i32.const 0x100000))
        (local.set $at (i32.add (local.get $at) (i32.const 80)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $next (local.get $left)))
      (call $publish (i32.const 4096) (i32.const 1000) (i32.const 0) (i32.const 256))
      (i32.const 0)))
  (core instance $guest (instantiate $guest
    (with "heap" (instance $heap))
    (with "host" (instance (export "publish" (func $publish))))))
  (func $tick (result (result (option u32) (error string)))
    (canon lift (core func $guest "tick") (memory $heap "memory")))
  (instance $ticker (export "tick" (func $tick)))
  (export "selvedge:plugin/ticker@0.1.0" (instance $ticker)))
