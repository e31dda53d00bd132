;; Has a memory with 64-bit addresses.
(component
  (core module $guest (memory (export "memory") i64 1))
  (core instance (instantiate $guest)))
