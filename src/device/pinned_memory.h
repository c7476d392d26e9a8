// Host memory that a GPU reaches by itself, near that GPU.
#pragma once
#include <cstddef>

namespace rk {

// n_bytes of zeros on the NUMA node of the calling thread's current GPU, where the machine tells it, in huge pages where it has them. Null
// where there is not enough. The pages are made by several threads: 100 GiB in seconds.
void* allocate_pinned(size_t n_bytes);
void release_pinned(void* p, size_t n_bytes);

}  // namespace rk
