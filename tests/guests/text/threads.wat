;; Has a memory that threads share.
(component
  (core module $guest (memory (export "memory") 1 1 shared))
  (core instance (instantiate $guest)))
