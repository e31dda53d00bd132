;; Has values that would need a garbage collector.
(component
  (core module $guest
    (type $pair (struct (field i32) (field i32)))
    (func (export "make") (drop (struct.new_default $pair))))
  (core instance (instantiate $guest)))
