// Tensor core instructions that every chip from compute capability 8.0 on has, copies into shared memory beside computation, barriers of
// some warps of a block.
// The only file with PTX of the general path; the emulator has its own version of each function.
#pragma once
#include "kernels/common/launch.cuh"

namespace rk::cuda {

#ifndef ROOKERY_CUDA_EMULATED

// Earlier chips, which lack them, are refused by Gpu.

// D [16,8] += A [16,16] B [16,8] by one warp, f32 sums. Fragments of lane l, g = l / 4, q = l % 4 (PTX ISA, mma.m16n8k16):
//   a[0] = A[g][2q,2q+1]  a[1] = A[g+8][2q..]  a[2] = A[g][2q+8..]  a[3] = A[g+8][2q+8..]
//   b[0] = B[2q,2q+1][g]  b[1] = B[2q+8..][g]        d[0,1] = D[g][2q,2q+1]  d[2,3] = D[g+8][2q..]
__device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const __half*) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const __nv_bfloat16*) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four 8 x 8 matrices of 16-bit numbers from shared memory: lane l gives the address of row l % 8 of matrix l / 8 (16 bytes, aligned);
// r[i] of lane l holds elements [l / 4][2 (l % 4), +1] of matrix i; with `transposed` of its transpose.
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const void* row) {
  const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(at)
               : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
  const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(at)
               : "memory");
}

// 16 bytes from device to shared memory without registers; zeros where `valid` is false (then `from` is not read).
__device__ __forceinline__ void copy_async_16(void* to_shared, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(to_shared))), "l"(from),
               "r"(valid ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most PENDING of this thread's committed groups are under way; a barrier must follow before others read.
template <int PENDING>
__device__ __forceinline__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// Waits until n_threads threads (whole warps) of the block have come to barrier `id` (1 .. 15; 0 is __syncthreads').
__device__ __forceinline__ void named_barrier(int id, int n_threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(n_threads) : "memory");
}

#else

void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const __half*);
void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const __nv_bfloat16*);
void load_matrices(uint32_t (&r)[4], const void* row);
void load_matrices_transposed(uint32_t (&r)[4], const void* row);
inline void copy_async_16(void* to_shared, const void* from, bool valid) { emulator::copy_later(to_shared, from, valid); }
inline void copy_async_commit() { emulator::close_copy_group(); }
template <int PENDING>
void copy_async_wait() {
  emulator::finish_copies(PENDING);
}
inline void named_barrier(int id, int n_threads) { emulator::barrier(id, n_threads); }

#endif

}  // namespace rk::cuda
