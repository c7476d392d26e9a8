// For compilers without libFuzzer: runs a target on the files of folders, then on mutations of them until time is over. Options as
// libFuzzer's: -max_total_time=SECONDS -artifact_prefix=PATH -seed=N; options that it does not know are passed over.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <vector>

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kMostBytes = 1 << 16;
constexpr unsigned kMostSeconds = 10;  // of one input

using Bytes = std::vector<uint8_t>;
using Random = std::mt19937_64;

size_t below(Random& random, size_t n) { return n == 0 ? 0 : random() % n; }

// One small change, or a piece of another input.
void mutate(Bytes& x, const std::vector<Bytes>& corpus, Random& random) {
  const size_t at = below(random, x.size() + 1);
  const auto place = x.begin() + static_cast<std::ptrdiff_t>(at);
  const size_t rest = x.size() - at, n = std::min(rest, size_t{1} << below(random, 6));
  const auto end = place + static_cast<std::ptrdiff_t>(n);
  switch (random() % 8) {
    case 0:
      if (rest) *place ^= static_cast<uint8_t>(1u << random() % 8);
      break;
    case 1:
      if (rest) *place = static_cast<uint8_t>(random());
      break;
    case 2: x.erase(place, end); break;
    case 3: x.insert(place, size_t{1} << below(random, 4), static_cast<uint8_t>(random())); break;
    case 4: {
      const Bytes copy(place, end);
      x.insert(x.begin() + static_cast<std::ptrdiff_t>(below(random, x.size() + 1)), copy.begin(), copy.end());
      break;
    }
    case 5: {  // numbers that lie at borders, of 1, 2, 4, 8 bytes
      static constexpr uint64_t numbers[] = {
          0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, ~uint64_t{0} / 2, ~uint64_t{0}};
      const uint64_t number = numbers[random() % std::size(numbers)] + random() % 3 - 1;
      if (rest) std::memcpy(x.data() + at, &number, std::min(rest, size_t{1} << random() % 4));
      break;
    }
    case 6: {
      const Bytes& other = corpus[below(random, corpus.size())];
      const size_t from = below(random, other.size()), m = std::min(other.size() - from, size_t{1} << below(random, 9));
      x.insert(place, other.begin() + static_cast<std::ptrdiff_t>(from), other.begin() + static_cast<std::ptrdiff_t>(from + m));
      break;
    }
    default: x.resize(at); break;
  }
  if (x.size() > kMostBytes) x.resize(kMostBytes);
}

// What is run now, for the file that is left behind if it is a finding.
Bytes now;
std::string left_at;
void leave() {
  const std::string path = left_at + "crash";
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(now.data()), static_cast<std::streamsize>(now.size()));
  std::cerr << "the input is in " << path << "\n";
}

void leave_by(int signal) {
  std::cerr << (signal == SIGALRM ? "an input takes too long\n" : "an exception or abort()\n");
  leave();
  _exit(1);
}

void run(const Bytes& input) {
  now = input;
  alarm(kMostSeconds);
  LLVMFuzzerTestOneInput(now.data(), now.size());
  alarm(0);
}

}  // namespace

extern "C" void __asan_set_death_callback(void (*)()) __attribute__((weak));

int main(int argc, char** argv) {
  double seconds = 60;
  uint64_t seed = 1;
  std::vector<Bytes> corpus{{}};
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&] { return word.substr(word.find('=') + 1); };
    if (word.starts_with("-max_total_time=")) seconds = std::stod(value());
    if (word.starts_with("-artifact_prefix=")) left_at = value();
    if (word.starts_with("-seed=")) seed = std::stoull(value());
    if (word.starts_with("-")) continue;
    for (const auto& file : std::filesystem::directory_iterator(word)) {
      std::ifstream in(file.path(), std::ios::binary);
      corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
  }
  for (int signal : {SIGALRM, SIGABRT}) std::signal(signal, leave_by);
  if (__asan_set_death_callback) __asan_set_death_callback(leave);
  const auto start = std::chrono::steady_clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  size_t n = 0;
  for (; n < corpus.size(); ++n) run(corpus[n]);
  Random random(seed);
  for (; passed() < seconds; ++n) {
    Bytes x = corpus[below(random, corpus.size())];
    for (size_t i = random() % 8 + 1; i > 0; --i) mutate(x, corpus, random);
    run(x);
  }
  std::cerr << "Done " << n << " runs in " << static_cast<int64_t>(passed()) << " second(s)\n";
}
