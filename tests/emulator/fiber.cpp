#include "emulator/fiber.h"

#include <pthread.h>
#include <sys/mman.h>

#include <cstdint>

#include "base/error.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// Leaves this stack, remembering where in *from, and goes on at `to`.
extern "C" void rk_emulator_switch_stack(void** from, void* to);

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

#ifdef __SANITIZE_ADDRESS__

void switch_to(Context& from, const Context& to, bool last) {
  __sanitizer_start_switch_fiber(last ? nullptr : &from.fake_stack, to.low, to.n_bytes);
  rk_emulator_switch_stack(&from.at, to.at);
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
}
void arrived() { __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr); }

Context own_stack() {
  pthread_attr_t attributes;
  void* low = nullptr;
  size_t n_bytes = 0;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &low, &n_bytes);
  pthread_attr_destroy(&attributes);
  return {.low = low, .n_bytes = n_bytes};
}

#else

void switch_to(Context& from, const Context& to, bool) { rk_emulator_switch_stack(&from.at, to.at); }
void arrived() {}
Context own_stack() { return {}; }

#endif

Stacks::Stacks(int n) : n_(n) {
  void* p = mmap(nullptr, kStride * static_cast<size_t>(n), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require(p != MAP_FAILED, "there is address space for the stacks of emulated threads");
  memory_ = static_cast<char*>(p);
  for (int i = 0; i < n; ++i) mprotect(memory_ + kStride * static_cast<size_t>(i), kPage, PROT_NONE);
}

Stacks::~Stacks() { munmap(memory_, kStride * static_cast<size_t>(n_)); }

Context Stacks::begin(int i, void (*entry)()) const {
  const char* low = memory_ + kStride * static_cast<size_t>(i) + kPage;
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(low, kStack);  // frames that were left for ever
#endif
  // Tops lie at different places of their pages, or all stacks would share a few lines of the cache.
  const size_t colour = static_cast<size_t>(i) % 24 * 128;
  auto* word = reinterpret_cast<uintptr_t*>(memory_ + kStride * static_cast<size_t>(i + 1) - colour - 64);
  *--word = 0;                                   // entry's return address, 8 below a multiple of 16 as after a call
  *--word = reinterpret_cast<uintptr_t>(entry);  // where the switch returns to
  for (int saved = 0; saved < 6; ++saved) *--word = 0;
  return {.at = word, .low = low, .n_bytes = kStack};
}

}  // namespace rk::cuda::emulator
