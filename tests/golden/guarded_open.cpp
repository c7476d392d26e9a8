#include "golden/guarded_open.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "base/error.h"
#include "io/tensor_file.h"

namespace rk::golden {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double limit_s = 2;
constexpr int64_t limit_bytes = 256 << 20;
constexpr int code_ok = 0, code_error = 2, code_other = 3;

int64_t resident_bytes() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

void read_everything(const std::string& path) {
  const auto reader = open_tensor_file(path);
  std::vector<std::byte> block;
  for (size_t i = 0; i < reader->tensors().size(); ++i) {
    const TensorInfo& t = reader->tensors()[i];
    constexpr int64_t step = 1 << 18;
    block.resize(static_cast<size_t>(std::min(t.numel(), step)) * size_of(t.dtype));
    for (int64_t at = 0; at < t.numel(); at += step) reader->read(i, at, std::min(step, t.numel() - at), block.data());
  }
}

[[noreturn]] void child(const std::string& path, int pipe_end) {
  std::string said = std::to_string(resident_bytes()) + "\n";
  int code = code_ok;
  try {
    read_everything(path);
  } catch (const Error& e) {
    said += e.what();
    code = code_error;
  } catch (const std::exception& e) {
    said += e.what();
    code = code_other;
  }
  (void)!write(pipe_end, said.data(), std::min<size_t>(said.size(), 4000));  // fits the pipe, so that nobody waits
  _exit(code);
}

struct Ended {
  int status = 0;
  int64_t peak_bytes = 0;
  double seconds = 0;
};

Ended wait_for(pid_t pid) {
  const auto begin = Clock::now();
  Ended e;
  rusage usage{};
  bool killed = false;
  while (wait4(pid, &e.status, WNOHANG, &usage) == 0) {
    e.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (e.seconds > 5 * limit_s && !killed) killed = kill(pid, SIGKILL) == 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  // Its own work, not the time it waited for a processor.
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec); };
  if (!killed) e.seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  e.peak_bytes = int64_t{usage.ru_maxrss} * 1024;
  return e;
}

Opened judge(const Ended& e, const std::string& said, bool code_was_run) {
  const size_t line = said.find('\n');
  const std::string message = line == std::string::npos ? "" : said.substr(line + 1);
  if (code_was_run) return {"code was run", message};
  if (e.seconds > limit_s) return {"too slow", cat(e.seconds, " s")};
  if (!WIFEXITED(e.status) || WEXITSTATUS(e.status) == code_other || line == std::string::npos)
    return {"crash", cat("status ", e.status, " ", message)};
  const int64_t grown = e.peak_bytes - std::atoll(said.c_str());
  if (grown > limit_bytes) return {"too much memory", cat(grown, " bytes")};
  return {WEXITSTATUS(e.status) == code_ok ? "ok" : "error", message};
}

}  // namespace

Opened guarded_open(const std::string& path, const std::string& forbidden) {
  std::string folder = (std::filesystem::temp_directory_path() / "rookery-golden-XXXXXX").string();
  int ends[2];
  if (!mkdtemp(folder.data()) || pipe(ends) != 0) fail("cannot prepare a process for a hostile file", ExitCode::failure);
  const pid_t pid = fork();
  if (pid < 0) fail("cannot start a process for a hostile file", ExitCode::failure);
  if (pid == 0) {
    close(ends[0]);
    if (chdir(folder.c_str()) != 0) _exit(code_other);
    child(path, ends[1]);
  }
  close(ends[1]);
  const Ended ended = wait_for(pid);
  std::string said(4096, '\0');
  const ssize_t n = read(ends[0], said.data(), said.size());
  said.resize(static_cast<size_t>(std::max<ssize_t>(n, 0)));
  close(ends[0]);
  const bool ran = std::filesystem::exists(folder + "/" + forbidden) || std::filesystem::exists(forbidden);
  std::filesystem::remove_all(folder);
  return judge(ended, said, ran);
}

}  // namespace rk::golden
