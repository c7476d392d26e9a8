// Operations of a whole warp: exchange of registers, tensor core products, matrix loads.
#include <bit>
#include <cstring>

#include "kernels/common/mma.cuh"

namespace rk::cuda {
namespace emulator {
namespace {

struct Shuffle {
  uint64_t bits;
  int source;
  uint64_t result;
};
struct Ballot {
  bool predicate;
  unsigned result;
};
struct Reduce {
  unsigned x;
  Reduction how;
  unsigned result;
};

unsigned combine(unsigned a, unsigned b, Reduction how) {
  switch (how) {
    case Reduction::add: return a + b;
    case Reduction::min: return a < b ? a : b;
    case Reduction::max: return a > b ? a : b;
    case Reduction::bit_and: return a & b;
    case Reduction::bit_or: return a | b;
    case Reduction::bit_xor: return a ^ b;
  }
  return a;
}

// What every lane that takes part handed over.
template <class T, class Visit>
void each_lane(void* const (&data)[32], const Visit& visit) {
  for (int l = 0; l < 32; ++l) {
    if (data[l]) visit(l, *static_cast<T*>(data[l]));
  }
}

}  // namespace

void sync_warp(unsigned mask) {
  together(
      mask, [](void* const(&)[32]) {}, nullptr);
}

uint64_t shuffle(unsigned mask, uint64_t bits, int source_lane) {
  Shuffle s{bits, source_lane, 0};
  together(
      mask,
      [](void* const(&data)[32]) {
        each_lane<Shuffle>(data, [&](int, Shuffle& mine) {
          const auto* other = static_cast<const Shuffle*>(data[mine.source & 31]);
          mine.result = other ? other->bits : ~uint64_t{0};
        });
      },
      &s);
  return s.result;
}

unsigned ballot(unsigned mask, bool predicate) {
  Ballot b{predicate, 0};
  together(
      mask,
      [](void* const(&data)[32]) {
        unsigned all = 0;
        each_lane<Ballot>(data, [&](int l, const Ballot& x) { all |= static_cast<unsigned>(x.predicate) << l; });
        each_lane<Ballot>(data, [&](int, Ballot& x) { x.result = all; });
      },
      &b);
  return b.result;
}

unsigned reduce(unsigned mask, unsigned x, Reduction how) {
  Reduce r{x, how, 0};
  together(
      mask,
      [](void* const(&data)[32]) {
        unsigned total = 0;
        bool first = true;
        each_lane<Reduce>(data, [&](int, const Reduce& one) {
          total = first ? one.x : combine(total, one.x, one.how);
          first = false;
        });
        each_lane<Reduce>(data, [&](int, Reduce& one) { one.result = total; });
      },
      &r);
  return r.result;
}

}  // namespace emulator

namespace {

constexpr unsigned kAllLanes = ~0u;

// Two 16-bit numbers of a register.
template <class T>
void unpack(uint32_t word, double& low, double& high) {
  low = static_cast<double>(static_cast<float>(std::bit_cast<T>(static_cast<uint16_t>(word))));
  high = static_cast<double>(static_cast<float>(std::bit_cast<T>(static_cast<uint16_t>(word >> 16))));
}

struct Fragments {
  float* d;
  const uint32_t *a, *b;
};

// Sums are formed in double and rounded once; tensor cores round more often.
template <class T>
void multiply(void* const (&data)[32]) {
  double A[16][16], B[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    if (!data[lane]) return emulator::stop("a thread of a warp has ended before a tensor core product");
    const auto& f = *static_cast<const Fragments*>(data[lane]);
    const int g = lane / 4, q = 2 * (lane % 4);
    for (int i = 0; i < 4; ++i) {
      const int row = g + i % 2 * 8, column = q + i / 2 * 8;
      unpack<T>(f.a[i], A[row][column], A[row][column + 1]);
    }
    for (int i = 0; i < 2; ++i) unpack<T>(f.b[i], B[q + 8 * i][g], B[q + 8 * i + 1][g]);
  }
  for (int lane = 0; lane < 32; ++lane) {
    float* d = static_cast<const Fragments*>(data[lane])->d;
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      double sum = static_cast<double>(d[i]);
      for (int k = 0; k < 16; ++k) sum += A[row][k] * B[k][column];
      d[i] = static_cast<float>(sum);
    }
  }
}

struct MatrixLoad {
  const unsigned char* row;
  uint32_t* r;
};

template <bool TRANSPOSED>
void load_four(void* const (&data)[32]) {
  for (void* const lane : data) {
    if (!lane) return emulator::stop("a thread of a warp has ended before a matrix load");
    if (reinterpret_cast<uintptr_t>(static_cast<const MatrixLoad*>(lane)->row) % 16 != 0)
      return emulator::stop("a matrix row is not aligned to 16 bytes");
  }
  const auto element = [&](int matrix, int row, int column) {
    uint16_t x;
    std::memcpy(&x, static_cast<const MatrixLoad*>(data[8 * matrix + row])->row + 2 * column, sizeof x);
    return uint32_t{x};
  };
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, q = 2 * (lane % 4);
    uint32_t* r = static_cast<const MatrixLoad*>(data[lane])->r;
    for (int i = 0; i < 4; ++i)
      r[i] = TRANSPOSED ? element(i, q, g) | element(i, q + 1, g) << 16 : element(i, g, q) | element(i, g, q + 1) << 16;
  }
}

}  // namespace

void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const __half*) {
  Fragments f{d, a, b};
  emulator::together(kAllLanes, multiply<__half>, &f);
}
void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const __nv_bfloat16*) {
  Fragments f{d, a, b};
  emulator::together(kAllLanes, multiply<__nv_bfloat16>, &f);
}
void load_matrices(uint32_t (&r)[4], const void* row) {
  MatrixLoad m{static_cast<const unsigned char*>(row), r};
  emulator::together(kAllLanes, load_four<false>, &m);
}
void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
  MatrixLoad m{static_cast<const unsigned char*>(row), r};
  emulator::together(kAllLanes, load_four<true>, &m);
}

}  // namespace rk::cuda
