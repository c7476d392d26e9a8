#include "base/mapped_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace rk {
namespace {

// What the SIGBUS handler may look at: it can only read memory that is valid at any moment. An entry is free while `size` is 0.
struct MappedRange {
  std::atomic<bool> taken{false};
  std::atomic<size_t> size{0};
  std::atomic<uintptr_t> begin{0};
  std::atomic<const char*> path{nullptr};  // owned by the entry; never freed while `size` is not 0
};

// A signal handler has no argument of ours, so the table has to be reachable without one.
constexpr int n_ranges = 1024;
std::array<MappedRange, n_ranges> ranges;

// Maps beyond the table's size work, but a fault in them is reported without a name.
int add_range(const std::byte* begin, size_t size, const std::string& path) {
  for (int slot = 0; slot < n_ranges; ++slot) {
    MappedRange& range = ranges[slot];
    if (range.taken.exchange(true)) continue;
    char* copy = new char[path.size() + 1];
    std::memcpy(copy, path.c_str(), path.size() + 1);
    range.path = copy;
    range.begin = reinterpret_cast<uintptr_t>(begin);
    range.size = size;
    return slot;
  }
  return -1;
}

void remove_range(int slot) {
  if (slot < 0) return;
  MappedRange& range = ranges[slot];
  range.size = 0;
  delete[] range.path.exchange(nullptr);
  range.taken = false;
}

// write() whole pieces of text without allocating; what cannot be written is lost, as the process ends anyway.
void put(const char* text, size_t n) {
  while (n > 0) {
    const ssize_t done = write(STDERR_FILENO, text, n);
    if (done <= 0) return;
    text += done;
    n -= static_cast<size_t>(done);
  }
}

void put(const char* text) { put(text, strlen(text)); }

void put_number(size_t value) {
  char digits[20];
  size_t n = sizeof digits;
  do {
    digits[--n] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  put(digits + n, sizeof digits - n);
}

[[noreturn]] void report_and_leave(const MappedRange& range, size_t offset) {
  const char* path = range.path;
  put(path);
  put(": cannot be read at byte offset ");
  put_number(offset);
  put(" of ");
  put_number(range.size);
  put(": the file was shortened, or its disk was lost, while it was in use; restore it and start again\n");
  _exit(static_cast<int>(ExitCode::bad_input));
}

void on_sigbus(int number, siginfo_t* info, void*) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (const MappedRange& range : ranges) {
    const uintptr_t begin = range.begin;
    const size_t size = range.size;
    if (size != 0 && address >= begin && address - begin < size) report_and_leave(range, address - begin);
  }
  signal(number, SIG_DFL);  // not ours: the instruction runs again and ends the process as usual
}

// Closes the descriptor at the end of the scope; the map stays.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) fail(cat(path, ": cannot open: ", std::strerror(errno)));
  struct stat info {};
  if (fstat(file.fd, &info) != 0) fail(cat(path, ": cannot read its size: ", std::strerror(errno)));
  if (S_ISDIR(info.st_mode)) fail(cat(path, ": is a folder; a file is needed"));
  if (!S_ISREG(info.st_mode)) fail(cat(path, ": is not a regular file, so it cannot be mapped; copy it into one"));
  n_bytes_ = static_cast<size_t>(info.st_size);
  if (n_bytes_ == 0) return;
  void* map = mmap(nullptr, n_bytes_, PROT_READ, MAP_SHARED, file.fd, 0);
  if (map == MAP_FAILED) fail(cat(path, ": cannot map its ", n_bytes_, " bytes: ", std::strerror(errno)));
  data_ = static_cast<const std::byte*>(map);
  slot_ = add_range(data_, n_bytes_, path_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      n_bytes_(std::exchange(other.n_bytes_, 0)),
      slot_(std::exchange(other.slot_, -1)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(n_bytes_, other.n_bytes_);
  std::swap(slot_, other.slot_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  remove_range(slot_);
  munmap(const_cast<std::byte*>(data_), n_bytes_);
}

void install_sigbus_handler() {
  struct sigaction action {};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGBUS, &action, nullptr) != 0) fail(cat("cannot catch SIGBUS: ", std::strerror(errno)), ExitCode::failure);
}

}  // namespace rk
