// Writing and reading a checkpoint's shard beside plain write() and read() on the same disk, in turn:
//   checkpoint_bench --folder DIR [--gib 4] [--rounds 3]
// Both ways of writing end with fsync; before both ways of reading the file leaves the system's memory. The shard is read with its
// checksums.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "comm/backends.h"
#include "io/disk.h"
#include "train/checkpoint.h"

namespace rk {
namespace {

constexpr size_t kCall = size_t{4} << 20;           // bytes of a plain call
constexpr int64_t kTensor = int64_t{64} << 20;      // elements
constexpr int64_t kReadAtATime = int64_t{4} << 20;  // elements

double gb_per_s(double n_bytes, const std::function<void()>& action) {
  const auto began = std::chrono::steady_clock::now();
  action();
  return 1e-9 * n_bytes / std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

void forget(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY);
  fsync(fd);
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  close(fd);
}

double median(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  return x[x.size() / 2];
}

class Bench {
 public:
  Bench(const std::string& folder, int64_t n_tensors)
      : folder_(folder + "/checkpoint_bench"), memory_(Device::cpu, static_cast<size_t>(n_tensors * kTensor) * 4) {
    std::filesystem::create_directories(folder_);
    auto* x = reinterpret_cast<uint32_t*>(memory_.data());
    for (size_t i = 0; i < memory_.size() / 4; ++i) x[i] = static_cast<uint32_t>(i * 2654435761u);
    for (int64_t t = 0; t < n_tensors; ++t) {
      const std::string name = cat("blocks.", t, ".weight");
      shapes_.push_back({name, {kTensor}});
      pieces_.push_back({name, "master", 0, memory_.tensor(DType::f32, {kTensor}, static_cast<size_t>(t * kTensor) * 4)});
    }
  }
  ~Bench() { std::filesystem::remove_all(folder_); }

  void round(int number) {
    const auto n = static_cast<double>(memory_.size());
    const double plain_write = gb_per_s(n, [&] { write_plain(); });
    const double plain_read = (forget(plain()), gb_per_s(n, [&] { read_plain(); }));
    std::filesystem::remove(plain());
    const double write = gb_per_s(n, [&] { save(number); });
    const std::string shard = step(number) + "/shard-00000.h5";
    const double read = (forget(shard), gb_per_s(n, [&] { read_back(number); }));
    std::filesystem::remove_all(step(number));
    std::printf("round %d: write %.2f GB/s, plain %.2f (%.0f %%); read %.2f GB/s, plain %.2f (%.0f %%)\n", number, write, plain_write,
                100 * write / plain_write, read, plain_read, 100 * read / plain_read);
    std::fflush(stdout);
    writes_.push_back(write / plain_write);
    reads_.push_back(read / plain_read);
  }
  void summary() const {
    std::printf("median over %zu rounds of %.2f GB: write %.0f %%, read %.0f %% of plain\n", writes_.size(),
                1e-9 * static_cast<double>(memory_.size()), 100 * median(writes_), 100 * median(reads_));
  }

 private:
  std::string plain() const { return folder_ + "/plain"; }
  std::string step(int number) const { return cat(folder_, "/step-0000000", number); }

  void write_plain() const {
    const int fd = open(plain().c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    for (size_t at = 0; at < memory_.size(); at += kCall)
      if (write(fd, memory_.data() + at, kCall) != static_cast<ssize_t>(kCall)) fail_write(plain(), kCall, errno);
    if (fsync(fd) != 0) fail_write(plain(), 0, errno);
    close(fd);
  }
  void read_plain() {
    const int fd = open(plain().c_str(), O_RDONLY);
    for (size_t at = 0; at < memory_.size(); at += kCall)
      if (read(fd, memory_.data() + at, kCall) != static_cast<ssize_t>(kCall)) fail("the plain file is short");
    close(fd);
  }
  void save(int number) {
    const auto comm = make_self_comm();
    CheckpointSaver saver(folder_, shapes_, {.last = 1});
    CheckpointState state;
    state.step = number;
    state.model_dtype = "f32";
    saver.begin(*comm, state, pieces_);
    if (const auto error = saver.commit(*comm)) fail(*error);
  }
  void read_back(int number) {
    CheckpointReader reader(step(number));
    for (size_t t = 0; t < shapes_.size(); ++t)
      for (int64_t at = 0; at < kTensor; at += kReadAtATime)
        reader.read(shapes_[t].name, "master", at, kReadAtATime, DType::f32, pieces_[t].data.as<float>() + at);
  }

  std::string folder_;
  Buffer memory_;
  std::vector<TensorShape> shapes_;
  std::vector<TensorPiece> pieces_;
  std::vector<double> writes_, reads_;
};

int bench_main(int argc, char** argv) {
  std::string folder = ".";
  int64_t gib = 4;
  int rounds = 3;
  CLI::App app("Times a checkpoint beside plain files.");
  app.add_option("--folder", folder, "on the disk to be measured");
  app.add_option("--gib", gib, "size of the file");
  app.add_option("--rounds", rounds);
  CLI11_PARSE(app, argc, argv);
  Bench bench(folder, gib * 4);
  for (int i = 1; i <= std::min(rounds, 9); ++i) bench.round(i);
  bench.summary();
  return 0;
}

}  // namespace
}  // namespace rk

int main(int argc, char** argv) {
  try {
    return rk::bench_main(argc, argv);
  } catch (const rk::Error& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
  }
}
