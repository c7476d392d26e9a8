// Products on a GPU against products in double on the CPU.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <tuple>

#include "base/rng.h"
#include "kernels/gemm/op.h"
#include "support/place.h"

namespace rk::test {
namespace {

struct Form {
  int64_t M, N, K;
  bool trans_a = false, trans_b = false;
  bool add = false, base = false, bias = false;
  DType factors = DType::bf16, c = DType::bf16;
  bool tf32 = false;
  int64_t offset = 16;  // of every operand in its buffer, in elements

  std::string name() const {
    return cat("M=", M, " N=", N, " K=", K, trans_a ? " A^T" : "", trans_b ? " B^T" : "", add ? " add" : "", base ? " base" : "",
               bias ? " bias" : "", " ", name_of(factors), "->", name_of(c), tf32 ? " tf32" : "", " offset ", offset);
  }
};

void put(DType t, void* to, size_t i, double x) {
  switch (t) {
    case DType::f64: static_cast<double*>(to)[i] = x; return;
    case DType::f32: static_cast<float*>(to)[i] = static_cast<float>(x); return;
    case DType::bf16: static_cast<bf16*>(to)[i] = bf16(static_cast<float>(x)); return;
    case DType::f16: static_cast<f16*>(to)[i] = to_f16(static_cast<float>(x)); return;
    default: FAIL();
  }
}
double get(DType t, const void* from, size_t i) {
  switch (t) {
    case DType::f64: return static_cast<const double*>(from)[i];
    case DType::f32: return static_cast<double>(static_cast<const float*>(from)[i]);
    case DType::bf16: return static_cast<double>(static_cast<const bf16*>(from)[i]);
    case DType::f16: return static_cast<double>(to_float(static_cast<const f16*>(from)[i]));
    default: return NAN;
  }
}

// Numbers of 8 significant bits: exact in every type here. Streams are different places of one sequence, which is drawn once.
std::vector<double> numbers(size_t stream, int64_t n) {
  static const std::vector<double> sequence = [] {
    const Random random(9, 0);
    std::vector<double> x(size_t{1} << 20);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(static_cast<float>(bf16(static_cast<float>(random.normal(i)))));
    return x;
  }();
  std::vector<double> x(static_cast<size_t>(n));
  for (size_t i = 0; i < x.size(); ++i) x[i] = sequence[(i + stream * 200003) % sequence.size()];
  return x;
}

class GemmCuda : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_gpu()) GTEST_SKIP() << why_no_gpu();
    gpu_ = std::make_unique<PlaceExec>(Device::cuda, kScratch);
    memory_ = Buffer(Device::cuda, size_t{64} << 20);
    cpu_ = std::make_unique<PlaceExec>(8, kScratch);
  }

  // op(A) op(B) in double.
  const std::vector<double>& product(const Form& f) {
    std::vector<double>& r = products_[{f.M, f.N, f.K, f.trans_a, f.trans_b}];
    if (!r.empty() || f.M * f.N == 0) return r;
    r.resize(static_cast<size_t>(f.M * f.N));
    const auto view = [](const std::vector<double>& v, Shape shape) {
      Tensor t;
      t.data = const_cast<double*>(v.data());
      t.dtype = DType::f64;
      t.shape = shape;
      return t;
    };
    const std::vector<double> a = numbers(1, f.M * f.K), b = numbers(2, f.N * f.K);
    run(cpu_->ex(), Gemm{.a = view(a, f.trans_a ? Shape{f.K, f.M} : Shape{f.M, f.K}),
                         .b = view(b, f.trans_b ? Shape{f.N, f.K} : Shape{f.K, f.N}),
                         .c = view(r, {f.M, f.N}),
                         .trans_a = f.trans_a,
                         .trans_b = f.trans_b});
    return r;
  }

  // A tensor at its offset from the next free place, inside a pattern.
  Tensor place(const Form& f, DType dtype, Shape shape, const std::vector<double>& values) {
    Tensor t;
    t.dtype = dtype;
    t.shape = shape;
    const size_t before = static_cast<size_t>(f.offset) * size_of(dtype), bytes = before + t.n_bytes() + kBand;
    std::vector<std::byte> host(bytes, kPattern);
    for (size_t i = 0; i < values.size(); ++i) put(dtype, host.data() + before, i, values[i]);
    Tensor whole = memory_.tensor(DType::u8, {static_cast<int64_t>(bytes)}, used_);
    copy_now({host.data(), whole.shape, DType::u8, Device::cpu}, whole);
    t = memory_.tensor(dtype, shape, used_ + before);
    used_ += (bytes + 255) / 256 * 256;
    return t;
  }
  std::vector<std::byte> download(const Tensor& t, size_t before, size_t after) {
    std::vector<std::byte> host(before + t.n_bytes() + after);
    Tensor from = t, to;
    from.dtype = DType::u8;
    from.shape = {static_cast<int64_t>(host.size())};
    from.data = static_cast<std::byte*>(t.data) - before;
    to = from;
    to.device = Device::cpu;
    to.data = host.data();
    copy_now(from, to);
    return host;
  }

  // The bytes of C after the call, checked for what lies around it.
  std::vector<std::byte> call(const Form& f) { return call(f, gpu_->ex()); }
  std::vector<std::byte> call(const Form& f, Exec ex) {
    used_ = 0;
    const Tensor a = place(f, f.factors, f.trans_a ? Shape{f.K, f.M} : Shape{f.M, f.K}, numbers(1, f.M * f.K));
    const Tensor b = place(f, f.factors, f.trans_b ? Shape{f.N, f.K} : Shape{f.K, f.N}, numbers(2, f.N * f.K));
    const Tensor base = f.base ? place(f, f.c, {f.M, f.N}, numbers(3, f.M * f.N)) : Tensor{};
    const Tensor bias = f.bias ? place(f, f.c, {f.N}, numbers(4, f.N)) : Tensor{};
    const Tensor c = place(f, f.c, {f.M, f.N}, f.add ? numbers(3, f.M * f.N) : std::vector<double>(static_cast<size_t>(f.M * f.N), NAN));
    ex.tf32 = f.tf32;
    run(ex, Gemm{.a = a, .b = b, .c = c, .trans_a = f.trans_a, .trans_b = f.trans_b, .add = f.add, .base = base, .bias = bias});
    synchronize(ex);
    const size_t before = static_cast<size_t>(f.offset) * size_of(f.c);
    std::vector<std::byte> bytes = download(c, before, kBand);
    for (size_t i = 0; i < bytes.size(); ++i) {
      const bool inside = i >= before && i < before + c.n_bytes();
      EXPECT_TRUE(inside || bytes[i] == kPattern) << "written beside C, byte " << i << " of " << f.name();
    }
    EXPECT_EQ(gpu_->scratch().mark(), 0u);
    return {bytes.begin() + static_cast<int64_t>(before), bytes.end() - kBand};
  }

  void expect_product(const Form& f) {
    std::vector<std::byte> got;
    try {
      got = call(f);
    } catch (const Error& e) {
      ADD_FAILURE() << f.name() << ": " << e.what();
      return;
    }
    const std::vector<double> expected_product = product(f), base = numbers(3, f.M * f.N), bias = numbers(4, f.N);
    double difference = 0, norm = 0;
    for (size_t i = 0; i < expected_product.size(); ++i) {
      double expected = expected_product[i];
      if (f.add || f.base) expected += base[i];
      if (f.bias) expected += bias[i % static_cast<size_t>(f.N)];
      const double d = get(f.c, got.data(), i) - expected;
      difference += d * d;
      norm += expected * expected;
    }
    // Half a unit of the last place of each result; and sums in fp32 of K + 2 terms whose squares are 1 on average.
    const double rounding = f.c == DType::bf16 ? 0x1p-8 : f.c == DType::f16 ? 0x1p-11 : 0x1p-24;
    const double size = std::sqrt(static_cast<double>(f.M * f.N * (f.K + 2)));
    const double error = std::sqrt(difference) / std::max(std::sqrt(norm), 1e-300);
    EXPECT_LE(std::sqrt(difference), rounding * std::sqrt(norm) + 2e-6 * size) << f.name();
    double& worst = worst_[cat(name_of(f.factors), "->", name_of(f.c), f.tf32 ? " tf32" : "")];
    worst = std::max(worst, error);
  }

  // Every transposition with everything that a product may be added to.
  template <class F>
  static void for_all_forms(Form f, const F& use) {
    for (int bits = 0; bits < 24; ++bits) {
      f.trans_a = (bits & 1) != 0, f.trans_b = (bits & 2) != 0, f.bias = (bits & 4) != 0;
      f.add = bits / 8 == 1, f.base = bits / 8 == 2;
      use(f);
    }
  }
  void TearDown() override {
    for (const auto& [what, error] : worst_) std::printf("  largest relative error %s: %.2e\n", what.c_str(), error);
  }

  static constexpr int kBand = 256;
  static constexpr std::byte kPattern{0xa5};
  static constexpr size_t kScratch = size_t{64} << 20;
  std::unique_ptr<PlaceExec> gpu_, cpu_;
  Buffer memory_;
  size_t used_ = 0;
  std::map<std::tuple<int64_t, int64_t, int64_t, bool, bool>, std::vector<double>> products_;
  std::map<std::string, double> worst_;  // of results as a whole, relative
};

TEST_F(GemmCuda, AnySizes) {
  for (int64_t M : {1, 7, 65, 1000}) {
    for (int64_t N : {1, 7, 65, 1000}) {
      for (int64_t K : {1, 7, 65, 1000}) {
        for_all_forms({.M = M, .N = N, .K = K}, [&](Form f) {
          expect_product(f);
          f.c = DType::f32;
          expect_product(f);
        });
      }
    }
  }
}

TEST_F(GemmCuda, AnyTypes) {
  for (auto [M, N, K] : {std::tuple{7, 65, 33}, {64, 128, 256}, {130, 40, 1000}, {1, 512, 512}}) {
    for_all_forms({.M = M, .N = N, .K = K, .factors = DType::f16, .c = DType::f16}, [&](Form f) {
      expect_product(f);
      f.c = DType::f32;
      expect_product(f);
      f.factors = DType::f32;
      expect_product(f);
      f.tf32 = true;
      expect_product(f);
    });
  }
}

TEST_F(GemmCuda, AnyPlaceInMemory) {
  for (int64_t offset : {0, 1, 2, 8, 48}) {
    for (auto [M, N, K] : {std::tuple{64, 128, 256}, {33, 7, 65}}) {
      for_all_forms({.M = M, .N = N, .K = K, .offset = offset}, [&](Form f) {
        expect_product(f);
        f.c = DType::f32;
        expect_product(f);
        f.factors = DType::f32;
        expect_product(f);
      });
    }
  }
}

TEST_F(GemmCuda, EmptySums) {
  for_all_forms({.M = 5, .N = 70, .K = 0}, [&](Form f) {
    expect_product(f);
    f.c = DType::f32;
    expect_product(f);
  });
  for_all_forms({.M = 0, .N = 70, .K = 3}, [&](const Form& f) { expect_product(f); });
  for_all_forms({.M = 70, .N = 0, .K = 3}, [&](const Form& f) { expect_product(f); });
}

// A weight gradient of many rows is where sums are split.
TEST_F(GemmCuda, EqualBitsInEveryRun) {
  for (Form f : {Form{.M = 768, .N = 64, .K = 8192, .trans_a = true, .add = true, .c = DType::f32},
                 Form{.M = 300, .N = 100, .K = 3000, .trans_b = true, .bias = true}}) {
    const std::vector<std::byte> once = call(f);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(call(f), once) << f.name();
    Gpu other({});  // which remembers nothing
    Exec ex = gpu_->ex();
    ex.gpu = &other;
    EXPECT_EQ(call(f, ex), once) << f.name() << ", another handle";
  }
}

TEST_F(GemmCuda, ADryRunAsksForTheSameScratch) {
  const PlaceExec dry(Device::cuda);
  Tensor t;
  t.shape = {128, 128};
  t.dtype = DType::bf16;
  t.device = Device::cuda;
  run(dry.ex(), Gemm{.a = t, .b = t, .c = t});
  expect_product({.M = 128, .N = 128, .K = 128});
  EXPECT_EQ(gpu_->scratch().peak(), dry.scratch().peak());
}

}  // namespace
}  // namespace rk::test
