#include "emulator/fiber.h"

#include <sys/mman.h>

#include <cstdint>

#include "base/error.h"

// The registers that a callee keeps in the System V ABI for x86-64.
asm(R"(
.text
.globl rk_emulator_switch_stack
.type rk_emulator_switch_stack, @function
rk_emulator_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size rk_emulator_switch_stack, .-rk_emulator_switch_stack
)");

namespace rk::cuda::emulator {

static constexpr size_t kPage = 4096, kStack = 64 * kPage, kStride = kStack + kPage;

Stacks::Stacks(int n) : n_(n) {
  void* p = mmap(nullptr, kStride * static_cast<size_t>(n), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require(p != MAP_FAILED, "there is address space for the stacks of emulated threads");
  memory_ = static_cast<char*>(p);
  for (int i = 0; i < n; ++i) mprotect(memory_ + kStride * static_cast<size_t>(i), kPage, PROT_NONE);
}

Stacks::~Stacks() { munmap(memory_, kStride * static_cast<size_t>(n_)); }

void* Stacks::begin(int i, void (*entry)()) const {
  // Tops lie at different places of their pages, or all stacks would share a few lines of the cache.
  const size_t colour = static_cast<size_t>(i) % 24 * 128;
  auto* word = reinterpret_cast<uintptr_t*>(memory_ + kStride * static_cast<size_t>(i + 1) - colour - 64);
  *--word = 0;                                   // entry's return address, 8 below a multiple of 16 as after a call
  *--word = reinterpret_cast<uintptr_t>(entry);  // where the switch returns to
  for (int saved = 0; saved < 6; ++saved) *--word = 0;
  return word;
}

}  // namespace rk::cuda::emulator
