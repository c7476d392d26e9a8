#include "launch/rendezvous/follow.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "launch/child_process.h"
#include "launch/mpirun.h"
#include "launch/signal_queue.h"
#include "launch/signals.h"

namespace rk {
namespace {

constexpr int tick_ms = 500;
constexpr std::chrono::seconds own_end{8};     // for a daemon to end when its mpirun has
constexpr std::chrono::seconds term_grace{5};  // from SIGTERM to SIGKILL

// The program that mpirun wanted here: Open MPI's daemon, parent of this node's ranks.
class Daemon {
 public:
  Daemon(const Message& start, const std::string& interface, const sigset_t& mask);
  int output() const { return output_.get(); }
  std::string read_output();
  std::optional<int> exit_code() { return process_->exit_code(); }
  // Lets it end by itself until `kill_at`, or tells it to end now.
  void expect_end(Clock::time_point kill_at) { kill_at_ = std::min(kill_at, kill_at_.value_or(kill_at)); }
  void terminate(std::chrono::seconds grace) {
    process_->signal_group(SIGTERM);
    expect_end(Clock::now() + grace);
  }
  void tick() {
    if (kill_at_ && Clock::now() >= *kill_at_) process_->signal_group(SIGKILL);
  }

 private:
  FileDescriptor output_;
  std::unique_ptr<ChildProcess> process_;
  std::optional<Clock::time_point> kill_at_;
};

// Shells keep waiting above a program that they could become; then it would outlive this process.
std::string becoming(const std::string& command) {
  const std::string plain = command.substr(std::min(command.find_first_not_of(' '), command.size()));
  return plain.starts_with("orted ") || plain.starts_with("/") ? "exec " + plain : command;
}

Daemon::Daemon(const Message& start, const std::string& interface, const sigset_t& mask) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) fail("cannot make a pipe", ExitCode::failure);
  output_ = FileDescriptor(ends[0]);
  const FileDescriptor write_end(ends[1]);
  ChildStart child;
  child.command = {"/bin/sh", "-c", becoming(start.word(1))};  // like ssh: the words are quoted for a shell
  child.without = unwanted_variables();
  child.output = write_end.get();
  child.signal_of_death = SIGKILL;  // its ranks die with it
  child.mask = mask;
  for (size_t i = 2; i < start.words.size(); ++i)
    if (const std::string name = start.words[i].substr(0, start.words[i].find('=')); !std::getenv(name.c_str()))
      child.environment.push_back(start.words[i]);
  bool has_interface = std::getenv("NCCL_SOCKET_IFNAME") != nullptr;
  for (const std::string& variable : child.environment) has_interface = has_interface || variable.starts_with("NCCL_SOCKET_IFNAME=");
  if (!has_interface && !interface.empty()) child.environment.push_back("NCCL_SOCKET_IFNAME==" + interface);
  if (::geteuid() == 0) {
    child.environment.push_back("OMPI_ALLOW_RUN_AS_ROOT=1");
    child.environment.push_back("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1");
  }
  process_ = std::make_unique<ChildProcess>(child);
}

std::string Daemon::read_output() {
  char buffer[65536];
  const ssize_t n = ::read(output_.get(), buffer, sizeof buffer);
  if (n == 0) output_ = FileDescriptor();
  return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : std::string();
}

class Follower {
 public:
  Follower(Link link, const std::string& interface) : link_(std::move(link)), interface_(interface) {}
  int run();

 private:
  void poll_once();
  void on_signal(int signal);
  void hear(const Message& message);
  void watch_daemon();
  void forward_output();
  void stand_still();

  Link link_;
  std::string interface_;
  SignalQueue signals_;
  std::unique_ptr<Daemon> daemon_;
  int requests_ = 0;
  std::optional<int> exit_code_;
};

void Follower::hear(const Message& message) {
  switch (message.kind) {
    case Message::Kind::start: daemon_ = std::make_unique<Daemon>(message, interface_, signals_.mask_before()); break;
    case Message::Kind::stop:
      if (daemon_) daemon_->expect_end(Clock::now() + own_end);
      break;
    case Message::Kind::finish: exit_code_ = message.number(0); break;
    case Message::Kind::leave:
      write_notice(third_stop_notice);
      exit_code_ = static_cast<int>(ExitCode::left_at_once);
      break;
    default: break;
  }
}

// Ctrl+Z here stops this launcher, not the run.
void Follower::stand_still() {
  link_.send({Message::Kind::suspended, {}});
  ::raise(SIGSTOP);  // goes on below when the shell continues this job
  link_.send({Message::Kind::alive, {}});
}

void Follower::on_signal(int signal) {
  if (signal == SIGCHLD) return;  // looked at in the loop
  if (signal == SIGTSTP) return stand_still();
  if (!asks_to_stop(signal)) return link_.send({Message::Kind::request, {cat(signal)}});
  switch (++requests_) {
    case 1: write_notice(first_stop_notice); return link_.send({Message::Kind::request, {cat(SIGUSR1)}});
    case 2: return write_notice(second_stop_notice);
    default:
      write_notice(third_stop_notice);
      link_.send({Message::Kind::leave, {}});
      exit_code_ = static_cast<int>(ExitCode::left_at_once);
  }
}

void Follower::forward_output() {
  while (daemon_->output() >= 0) {
    const std::string text = daemon_->read_output();
    if (text.empty()) return;
    link_.send({Message::Kind::output, {text}});
  }
}

void Follower::watch_daemon() {
  if (!daemon_) return;
  daemon_->tick();
  const std::optional<int> code = daemon_->exit_code();  // before its last words are read
  forward_output();
  if (!code) return;
  link_.send({Message::Kind::ended, {cat(*code)}});
  daemon_.reset();
}

void Follower::poll_once() {
  pollfd fds[3] = {{signals_.fd(), POLLIN, 0},
                   {link_.fault().empty() ? link_.fd() : -1, static_cast<short>(link_.has_output() ? POLLIN | POLLOUT : POLLIN), 0},
                   {daemon_ ? daemon_->output() : -1, POLLIN, 0}};
  ::poll(fds, 3, tick_ms);
  while (const std::optional<int> signal = signals_.next()) on_signal(*signal);
  link_.flush();
  link_.receive();
  while (const std::optional<Message> message = link_.next()) hear(*message);
  link_.keep_alive(Clock::now());
  watch_daemon();
}

int Follower::run() {
  while (!exit_code_ && link_.fault().empty()) poll_once();
  if (!exit_code_) {
    log_error(cat("node 0 is lost: ", link_.fault(), "; ending what runs here"));
    exit_code_ = static_cast<int>(ExitCode::failure);
  }
  if (daemon_) daemon_->terminate(*exit_code_ == static_cast<int>(ExitCode::left_at_once) ? std::chrono::seconds(0) : term_grace);
  while (daemon_) poll_once();
  link_.flush();
  return *exit_code_;
}

}  // namespace

int follow(Link link, const std::string& interface) { return Follower(std::move(link), interface).run(); }

}  // namespace rk
