// Runs the blocks of a grid one after another on the calling thread. Every CUDA thread is a fiber with a small stack; fibers take turns
// only where a thread waits for others, so what kernels may rely on between two barriers is exactly what a barrier promises.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace rk::cuda::emulator {

// Order in which threads and blocks get their turn. A kernel without races gives the same bits in each.
enum class Order { forward, backward };
void set_order(Order order);

// All threads of all blocks run kernel(). Throws where threads wait for each other for ever, a kernel stops itself, or writes behind its
// shared memory. `shared` bytes of dynamic shared memory are NaN before every block.
void run(dim3 grid, dim3 block, size_t shared, const std::function<void()>& kernel);

// The rest is called by running threads.
void* dynamic_shared();
int lane();
long long clock();
[[noreturn]] void stop(const std::string& why);

// Waits until n_threads threads of the block have come to barrier `id` (0: all that have not ended); returns how many said `vote`.
int barrier(int id, int n_threads, bool vote = false);

// Warp operations: the threads of `mask` that have not ended wait for each other.
void sync_warp(unsigned mask);
uint64_t shuffle(unsigned mask, uint64_t bits, int source_lane);  // all ones from a lane that does not take part
unsigned ballot(unsigned mask, bool predicate);
enum class Reduction { add, min, max, bit_and, bit_or, bit_xor };
unsigned reduce(unsigned mask, unsigned x, Reduction how);

// Calls `work` once, with what each lane of the warp handed over (null for lanes outside `mask` or ended), when all have come.
using WarpWork = void (*)(void* const (&data)[32]);
void together(unsigned mask, WarpWork work, void* data);

// A copy of 16 bytes that is done only when its thread waits for its group; until then the target is NaN.
void copy_later(void* to, const void* from, bool valid);
void close_copy_group();
void finish_copies(int pending_groups);

}  // namespace rk::cuda::emulator
