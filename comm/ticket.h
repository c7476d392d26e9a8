// Completion of a collective that was started.
#pragma once
#include <cstdint>

namespace rk {

class Comm;

// Move-free handle; the buffers of the collective may be touched again only after wait().
class Ticket {
 public:
  Ticket() = default;  // already complete
  Ticket(Comm* comm, uint64_t id) : comm_(comm), id_(id) {}
  void wait();  // returns when complete; a second wait returns at once

 private:
  Comm* comm_ = nullptr;
  uint64_t id_ = 0;
};

}  // namespace rk
