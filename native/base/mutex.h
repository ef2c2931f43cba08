// Mutex, MutexLock, CondVar: std::mutex with Clang's thread-safety capabilities, so that
// `clang++ -Wthread-safety` reports an unguarded access. g++ ignores the attributes.
//
// No lock is ever held over device I/O, a completion callback or a Node-API call.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define DMIOFS_TSA(x) __attribute__((x))
#else
#define DMIOFS_TSA(x)
#endif

#define CAPABILITY(x) DMIOFS_TSA(capability(x))
#define SCOPED_CAPABILITY DMIOFS_TSA(scoped_lockable)
#define GUARDED_BY(x) DMIOFS_TSA(guarded_by(x))
#define PT_GUARDED_BY(x) DMIOFS_TSA(pt_guarded_by(x))
#define REQUIRES(...) DMIOFS_TSA(requires_capability(__VA_ARGS__))
#define ACQUIRE(...) DMIOFS_TSA(acquire_capability(__VA_ARGS__))
#define RELEASE(...) DMIOFS_TSA(release_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) DMIOFS_TSA(try_acquire_capability(__VA_ARGS__))
#define EXCLUDES(...) DMIOFS_TSA(locks_excluded(__VA_ARGS__))
#define ACQUIRED_BEFORE(...) DMIOFS_TSA(acquired_before(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS DMIOFS_TSA(no_thread_safety_analysis)

namespace dmiofs {

class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }
  bool try_lock() TRY_ACQUIRE(true) { return mutex_.try_lock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class CondVar {
 public:
  void wait(Mutex& mutex) REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    cond_.wait(lock);
    lock.release();
  }
  // False when `deadline` passed first.
  template <typename Clock, typename Duration>
  bool wait_until(Mutex& mutex, const std::chrono::time_point<Clock, Duration>& deadline) REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const bool in_time = cond_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    lock.release();
    return in_time;
  }
  void notify_one() { cond_.notify_one(); }
  void notify_all() { cond_.notify_all(); }

 private:
  std::condition_variable cond_;
};

}  // namespace dmiofs
