// Completion of a collective that was started.
#pragma once
#include <cstdint>

struct CUstream_st;

namespace rk {

class Comm;

// Copyable handle; the buffers of the collective may be touched again only after wait().
class Ticket {
 public:
  Ticket() = default;  // already complete
  Ticket(Comm* comm, uint64_t id) : comm_(comm), id_(id) {}
  // Tensors of the host: returns when complete. Tensors of a GPU: queues, without waiting here, that later work of the Gpu's own stream
  // comes after the collective. A second wait returns at once.
  void wait();
  // The same for another stream of the GPU; the ticket may still be waited for by others.
  void wait_on(CUstream_st* stream) const;

 private:
  Comm* comm_ = nullptr;
  uint64_t id_ = 0;
};

}  // namespace rk
