//! The programs: each makes one call, and says its result, `errno` where it failed, and the milliseconds that the
//! program's own clock says it took.

use libc::{c_int, c_void, timespec, timeval};
use std::ffi::CString;
use std::mem::zeroed;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Runs before `main`, as this library's own hook does: a program that is a probe ends here.
#[used]
#[unsafe(link_section = ".init_array")]
static HOOK: extern "C" fn() = hook;

extern "C" fn hook() {
    if let Ok(name) = std::env::var("PROBE") {
        let name = name.as_str();
        // SAFETY: one thread, which calls the C library with places of its own.
        unsafe { run(name) };
        std::process::exit(0);
    }
}

unsafe extern "C" {
    fn semtimedop(set: c_int, changes: *mut libc::sembuf, count: usize, wait: *const timespec) -> c_int;
    fn sem_timedwait(semaphore: *mut c_void, at: *const timespec) -> c_int;
    fn pthread_cond_clockwait(c: *mut c_void, m: *mut c_void, clock: c_int, at: *const timespec) -> c_int;
    fn getitimer(which: c_int, now: *mut [timeval; 2]) -> c_int;
    fn setitimer(which: c_int, new: *const [timeval; 2], old: *mut [timeval; 2]) -> c_int;
    fn epoll_pwait2(
        e: c_int,
        ev: *mut libc::epoll_event,
        n: c_int,
        t: *const timespec,
        m: *const c_void,
    ) -> c_int;
    fn arc4random() -> u32;
    fn arc4random_uniform(bound: u32) -> u32;
    fn arc4random_buf(to: *mut c_void, length: usize);
    fn adjtime(change: *const timeval, left: *mut timeval) -> c_int;
}

static RANG: AtomicBool = AtomicBool::new(false);

extern "C" fn rang(_: c_int) {
    RANG.store(true, SeqCst);
}

fn handle(signal: c_int) {
    // SAFETY: an action of zeros with a handler.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = rang as *const () as usize;
        libc::sigaction(signal, &raw const action, null_mut());
    }
}

fn clock(id: c_int) -> i64 {
    // SAFETY: a place of ours.
    unsafe {
        let mut now: timespec = zeroed();
        libc::clock_gettime(id, &raw mut now);
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    }
}

/// The moment `after` seconds from now on a clock.
fn moment(id: c_int, after: i64) -> timespec {
    let at = clock(id) + after * 1_000_000_000;
    timespec { tv_sec: at / 1_000_000_000, tv_nsec: at % 1_000_000_000 }
}

const fn span(seconds: i64) -> timespec {
    timespec { tv_sec: seconds, tv_nsec: 0 }
}

fn say(mut call: impl FnMut() -> i64) {
    let before = clock(libc::CLOCK_MONOTONIC);
    let value = call();
    let error = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    let after = clock(libc::CLOCK_MONOTONIC);
    let error = if value == -1 { format!(" errno {error}") } else { String::new() };
    println!("{value}{error} after {} ms", (after - before + 500_000) / 1_000_000);
}

fn pipe() -> [c_int; 2] {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    unsafe { libc::pipe(ends.as_mut_ptr()) };
    ends
}

fn readable(fd: c_int) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

fn watch(fd: c_int) -> c_int {
    // SAFETY: an event of ours.
    unsafe {
        let epoll = libc::epoll_create1(0);
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 7 };
        libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event);
        epoll
    }
}

fn udp() -> c_int {
    // SAFETY: numbers and an address of ours.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
        let mut address: libc::sockaddr_in = zeroed();
        address.sin_family = libc::AF_INET as u16;
        address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
        libc::bind(fd, (&raw const address).cast(), 16);
        fd
    }
}

/// A queue without a name, for one message.
fn queue(flags: c_int) -> c_int {
    let name = CString::new(format!("/probe-{}-{flags}", std::process::id())).expect("a name");
    // SAFETY: a name and attributes of ours.
    unsafe {
        let mut attributes: libc::mq_attr = zeroed();
        (attributes.mq_maxmsg, attributes.mq_msgsize) = (1, 16);
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR | flags;
        let queue = libc::mq_open(name.as_ptr(), flags, 0o600 as libc::mode_t, &raw const attributes);
        libc::mq_unlink(name.as_ptr());
        queue
    }
}

fn limit(fd: c_int, option: c_int, seconds: i64) {
    let time = timeval { tv_sec: seconds, tv_usec: 0 };
    // SAFETY: a time of ours.
    unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const time).cast(), 16) };
}

/// A token goes round a ring of processes, half of which wait for it with a timeout and half without: while it goes, someone
/// always has something to do, if only for a microsecond.
unsafe fn ring() {
    const MEMBERS: usize = 6;
    const ROUNDS: usize = 1_500;
    let pipes: Vec<[c_int; 2]> = (0..MEMBERS).map(|_| pipe()).collect();
    // SAFETY: the C library's functions with places of ours.
    unsafe {
        libc::write(pipes[0][1], c"x".as_ptr().cast(), 1);
        let member = (1..MEMBERS).find(|_| libc::fork() == 0).unwrap_or(0);
        for _ in 0..ROUNDS {
            let mut entry = readable(pipes[member][0]);
            let timeout = if member % 2 == 0 { 10_000 } else { -1 };
            assert_eq!(
                libc::poll(&raw mut entry, 1, timeout),
                1,
                "the clock moved while the token went round"
            );
            let mut byte = 0_u8;
            libc::read(entry.fd, (&raw mut byte).cast(), 1);
            libc::write(pipes[(member + 1) % MEMBERS][1], (&raw const byte).cast(), 1);
        }
        if member == 0 {
            while libc::wait(null_mut()) > 0 {}
            println!("round");
        }
    }
}

/// Namespaces where this process's resolver asks a server on this host that says nothing.
fn own_resolver() {
    // SAFETY: the C library's functions with places of ours.
    unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWNET), 0);
        let root = c"/".as_ptr();
        assert_eq!(libc::mount(null(), root, null(), libc::MS_REC | libc::MS_PRIVATE, null()), 0);
        let files =
            [("resolv.conf", "nameserver 127.0.0.1\n"), ("nsswitch.conf", "hosts: dns\n"), ("gai.conf", "")];
        for (name, text) in files {
            std::fs::write(name, text).expect("a file");
            let path = CString::new(format!("/etc/{name}")).expect("a path");
            let name = CString::new(name).expect("a name");
            libc::mount(name.as_ptr(), path.as_ptr(), null(), libc::MS_BIND, null());
        }
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
        let mut request: libc::ifreq = zeroed();
        request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
        request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
        assert_eq!(libc::ioctl(fd, libc::SIOCSIFFLAGS, &raw const request), 0);
        let mut address: libc::sockaddr_in = zeroed();
        address.sin_family = libc::AF_INET as u16;
        address.sin_port = 53_u16.to_be();
        assert_eq!(libc::bind(fd, (&raw const address).cast(), 16), 0);
    }
}

#[allow(clippy::too_many_lines, reason = "a list")]
unsafe fn run(name: &str) {
    let [read, write] = pipe();
    let mut entry = readable(read);
    // SAFETY: all through, the C library's functions with places of ours.
    unsafe {
        match name {
            "random" => {
                let mut octets = [0_u8; 13];
                println!("{}", libc::getrandom(octets.as_mut_ptr().cast(), octets.len(), 0));
                println!("{octets:?}");
                println!("{}", libc::getentropy(octets.as_mut_ptr().cast(), octets.len()));
                println!("{octets:?}");
                println!("{}", libc::getentropy(octets.as_mut_ptr().cast(), 257));
                arc4random_buf(octets.as_mut_ptr().cast(), octets.len());
                println!("{octets:?}");
                println!("{}", arc4random());
                let small = (0..1_000).map(|_| arc4random_uniform(6)).collect::<Vec<_>>();
                println!("{:?} {:?}", small.iter().min(), small.iter().max());
                println!("{}", arc4random_uniform(0));
            }
            "poll" => say(|| libc::poll(&raw mut entry, 1, 3_600_000).into()),
            "poll-twice" => {
                say(|| libc::poll(&raw mut entry, 1, 90_000).into());
                say(|| libc::poll(&raw mut entry, 1, 30_000).into());
            }
            "poll-now" => say(|| libc::poll(&raw mut entry, 1, 0).into()),
            "poll-data" => {
                libc::write(write, c"x".as_ptr().cast(), 1);
                say(|| libc::poll(&raw mut entry, 1, 3_600_000).into());
            }
            "poll-stdin" => {
                entry.fd = 0;
                say(|| libc::poll(&raw mut entry, 1, 3_600_000).into());
            }
            "poll-forever" => say(|| libc::poll(&raw mut entry, 1, -1).into()),
            "poll-signal" => {
                handle(libc::SIGUSR1);
                say(|| libc::poll(&raw mut entry, 1, 3_600_000).into());
            }
            "poll-blocked" => {
                // A program that blocks every signal is woken all the same.
                let all: libc::sigset_t = std::mem::transmute([u8::MAX; size_of::<libc::sigset_t>()]);
                libc::sigprocmask(libc::SIG_SETMASK, &raw const all, null_mut());
                for signal in 1..65 {
                    libc::signal(signal, libc::SIG_DFL);
                }
                say(|| libc::poll(&raw mut entry, 1, 3_600_000).into());
            }
            "ppoll" => say(|| libc::ppoll(&raw mut entry, 1, &span(3_600), null()).into()),
            "select" => {
                let mut set: libc::fd_set = zeroed();
                libc::FD_SET(read, &raw mut set);
                let mut time = timeval { tv_sec: 3_600, tv_usec: 0 };
                say(|| {
                    let set = &raw mut set;
                    libc::select(read + 1, set, null_mut(), null_mut(), &raw mut time).into()
                });
                println!("set {} left {}", libc::FD_ISSET(read, &raw const set), time.tv_sec);
            }
            "select-data" => {
                libc::write(write, c"x".as_ptr().cast(), 1);
                let mut set: libc::fd_set = zeroed();
                libc::FD_SET(read, &raw mut set);
                let mut time = timeval { tv_sec: 3_600, tv_usec: 0 };
                say(|| {
                    let set = &raw mut set;
                    libc::select(read + 1, set, null_mut(), null_mut(), &raw mut time).into()
                });
                println!("set {} left {}", libc::FD_ISSET(read, &raw const set), time.tv_sec);
            }
            "pselect" => say(|| {
                let none = null_mut();
                libc::pselect(0, none, none, none, &span(3_600), null()).into()
            }),
            "epoll_wait" => {
                let (epoll, mut event) = (watch(read), zeroed());
                say(|| libc::epoll_wait(epoll, &raw mut event, 1, 3_600_000).into());
            }
            "epoll_pwait" => {
                let (epoll, mut event) = (watch(read), zeroed());
                say(|| libc::epoll_pwait(epoll, &raw mut event, 1, 3_600_000, null()).into());
            }
            "epoll_pwait2" => {
                let (epoll, mut event) = (watch(read), zeroed());
                say(|| epoll_pwait2(epoll, &raw mut event, 1, &span(3_600), null()).into());
            }
            "nanosleep" => say(|| libc::nanosleep(&span(3_600), null_mut()).into()),
            "nanosleep-signal" => {
                handle(libc::SIGUSR1);
                let mut rest = span(0);
                say(|| libc::nanosleep(&span(3_600), &raw mut rest).into());
                println!("left {}", rest.tv_sec);
            }
            "clock_nanosleep" => {
                let id = libc::CLOCK_MONOTONIC;
                say(|| libc::clock_nanosleep(id, 0, &span(3_600), null_mut()).into());
            }
            "clock_nanosleep-absolute" => {
                for id in [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC] {
                    let at = moment(id, 3_600);
                    say(|| libc::clock_nanosleep(id, libc::TIMER_ABSTIME, &raw const at, null_mut()).into());
                }
            }
            "sleep" => say(|| libc::sleep(3_600).into()),
            "sleep-signal" => {
                handle(libc::SIGUSR1);
                say(|| libc::sleep(3_600).into());
            }
            "usleep" => say(|| libc::usleep(3_600_000_000).into()),
            "sigtimedwait" => {
                let mut set: libc::sigset_t = zeroed();
                libc::sigaddset(&raw mut set, libc::SIGUSR1);
                say(|| libc::sigtimedwait(&raw const set, null_mut(), &span(3_600)).into());
            }
            "alarm" => {
                handle(libc::SIGALRM);
                libc::alarm(600);
                say(|| libc::pause().into());
                libc::alarm(600);
                say(|| libc::read(read, (&raw mut entry).cast(), 1) as i64);
                println!("rang {}", RANG.load(SeqCst));
                libc::alarm(600);
                libc::sleep(100);
                println!("left {} {}", libc::alarm(0), libc::alarm(0));
            }
            "alarm-fork" => {
                handle(libc::SIGALRM);
                libc::alarm(600);
                if libc::fork() == 0 {
                    println!("the child's: {}", libc::alarm(0));
                    return;
                }
                libc::wait(null_mut());
                say(|| libc::pause().into());
            }
            "alarm-exec" => {
                libc::alarm(600);
                std::env::set_var("PROBE", "alarm-left");
                let path = CString::new(std::env::current_exe().expect("this").to_str().expect("text"))
                    .expect("a path");
                libc::execv(path.as_ptr(), [path.as_ptr(), null()].as_ptr());
            }
            "alarm-left" => println!("left {}", libc::alarm(0)),
            "setitimer" => {
                handle(libc::SIGALRM);
                let time = |tv_sec| timeval { tv_sec, tv_usec: 0 };
                setitimer(0, &[time(60), time(600)], null_mut());
                say(|| libc::pause().into());
                say(|| libc::pause().into());
                let mut now = [time(0); 2];
                getitimer(0, &raw mut now);
                println!("interval {} left {}", now[0].tv_sec, now[1].tv_sec);
            }
            "timerfd" => {
                let fd = libc::timerfd_create(libc::CLOCK_MONOTONIC, 0);
                let set = libc::itimerspec { it_interval: span(0), it_value: span(3_600) };
                libc::timerfd_settime(fd, 0, &raw const set, null_mut());
                let mut count = 0_u64;
                say(|| libc::read(fd, (&raw mut count).cast(), 8) as i64);
                println!("count {count}");
            }
            "timerfd-epoll" => {
                let fd = libc::timerfd_create(libc::CLOCK_REALTIME, libc::TFD_NONBLOCK);
                let set = libc::itimerspec { it_interval: span(60), it_value: span(3_600) };
                libc::timerfd_settime(fd, 0, &raw const set, null_mut());
                let (epoll, mut event, mut count) = (watch(fd), zeroed(), 0_u64);
                for _ in 0..3 {
                    say(|| libc::epoll_wait(epoll, &raw mut event, 1, -1).into());
                    libc::read(fd, (&raw mut count).cast(), 8);
                }
                let mut now: libc::itimerspec = zeroed();
                libc::timerfd_gettime(fd, &raw mut now);
                println!("count {count} interval {} left {}", now.it_interval.tv_sec, now.it_value.tv_sec);
            }
            "timer_create" => {
                handle(libc::SIGALRM);
                let mut id: libc::timer_t = null_mut();
                libc::timer_create(libc::CLOCK_MONOTONIC, null_mut(), &raw mut id);
                let set = libc::itimerspec { it_interval: span(0), it_value: span(3_600) };
                libc::timer_settime(id, 0, &raw const set, null_mut());
                say(|| libc::pause().into());
                println!("deleted {}", libc::timer_delete(id));
            }
            "sem_timedwait" => {
                let mut semaphore = [0_u64; 4];
                let at = moment(libc::CLOCK_REALTIME, 3_600);
                say(|| sem_timedwait(semaphore.as_mut_ptr().cast(), &raw const at).into());
            }
            "cond_timedwait" => {
                let (mut condition, mut mutex) = ([0_u64; 6], [0_u64; 5]);
                let (condition, mutex) = (condition.as_mut_ptr().cast(), mutex.as_mut_ptr().cast());
                libc::pthread_mutex_lock(mutex);
                let at = moment(libc::CLOCK_REALTIME, 3_600);
                say(|| libc::pthread_cond_timedwait(condition, mutex, &raw const at).into());
                let at = moment(libc::CLOCK_MONOTONIC, 3_600);
                let id = libc::CLOCK_MONOTONIC;
                say(|| pthread_cond_clockwait(condition.cast(), mutex.cast(), id, &raw const at).into());
                libc::pthread_mutex_unlock(mutex);
            }
            "mutex_timedlock" => {
                let mut mutex = [0_u64; 5];
                let mutex: *mut libc::pthread_mutex_t = mutex.as_mut_ptr().cast();
                libc::pthread_mutex_lock(mutex);
                let at = moment(libc::CLOCK_REALTIME, 3_600);
                say(|| libc::pthread_mutex_timedlock(mutex, &raw const at).into());
            }
            "semtimedop" => {
                let set = libc::semget(libc::IPC_PRIVATE, 1, 0o600);
                let change = |by| libc::sembuf { sem_num: 0, sem_op: by, sem_flg: 0 };
                let wait = span(3_600);
                say(|| semtimedop(set, &mut change(-1), 1, &raw const wait).into());
                libc::semop(set, &mut change(1), 1);
                say(|| semtimedop(set, &mut change(-1), 1, &raw const wait).into());
                libc::semctl(set, 0, libc::IPC_RMID);
            }
            "mq_timedsend" => {
                let queue = queue(0);
                let at = moment(libc::CLOCK_REALTIME, 3_600);
                for _ in 0..2 {
                    say(|| libc::mq_timedsend(queue, c"one".as_ptr(), 3, 0, &raw const at).into());
                }
            }
            "mq_timedreceive" => {
                let own = queue(0);
                let mut room = [0_u8; 16];
                let mut receive = |from, after| {
                    let at = moment(libc::CLOCK_REALTIME, after);
                    let room = room.as_mut_ptr().cast();
                    say(|| libc::mq_timedreceive(from, room, 16, null_mut(), &raw const at) as i64);
                };
                receive(own, 3_600);
                if libc::fork() == 0 {
                    libc::sleep(60);
                    libc::mq_send(own, c"one".as_ptr(), 3, 0);
                    return;
                }
                receive(own, 3_600);
                receive(queue(libc::O_NONBLOCK), 3_600);
            }
            "rcvtimeo" => {
                let (fd, mut byte) = (udp(), 0_u8);
                limit(fd, libc::SO_RCVTIMEO, 300);
                say(|| libc::recv(fd, (&raw mut byte).cast(), 1, 0) as i64);
                say(|| libc::read(fd, (&raw mut byte).cast(), 1) as i64);
            }
            "sndtimeo" => {
                let mut ends = [0; 2];
                libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, ends.as_mut_ptr());
                limit(ends[0], libc::SO_SNDTIMEO, 300);
                let full = vec![0_u8; 1 << 20];
                libc::send(ends[0], full.as_ptr().cast(), full.len(), libc::MSG_DONTWAIT);
                say(|| libc::write(ends[0], full.as_ptr().cast(), 1) as i64);
            }
            "connect" => {
                // A backlog that is full: the kernel drops what comes.
                let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
                libc::listen(std::os::fd::AsRawFd::as_raw_fd(&server), 0);
                let port = server.local_addr().expect("its address").port();
                let mut address: libc::sockaddr_in = zeroed();
                address.sin_family = libc::AF_INET as u16;
                address.sin_port = port.to_be();
                address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
                let dial = || {
                    let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
                    libc::connect(fd, (&raw const address).cast(), 16)
                };
                say(|| dial().into());
                say(|| dial().into());
            }
            "clocks" => {
                let real = clock(libc::CLOCK_REALTIME) / 1_000_000_000;
                let mut time = zeroed();
                libc::gettimeofday(&raw mut time, null_mut());
                let coarse = clock(libc::CLOCK_REALTIME_COARSE) / 1_000_000_000;
                println!("{real} {} {} {coarse}", libc::time(null_mut()), time.tv_sec);
                for id in [libc::CLOCK_MONOTONIC, libc::CLOCK_MONOTONIC_RAW, libc::CLOCK_BOOTTIME] {
                    print!("{} ", clock(id) / 1_000_000_000);
                }
                let readings: Vec<_> = (0..1_000).map(|_| clock(libc::CLOCK_MONOTONIC)).collect();
                println!("increasing {}", readings.is_sorted_by(|a, b| a < b));
            }
            "set-clock" => {
                say(|| libc::clock_settime(libc::CLOCK_REALTIME, &span(1)).into());
                say(|| libc::settimeofday(&timeval { tv_sec: 1, tv_usec: 0 }, null()).into());
                say(|| adjtime(&timeval { tv_sec: 1, tv_usec: 0 }, null_mut()).into());
            }
            "threads" => {
                let wait = |ms| move || say(|| libc::poll(null_mut(), 0, ms).into());
                let threads: Vec<_> = [30_000, 10_000, 20_000].map(|ms| std::thread::spawn(wait(ms))).into();
                for thread in threads {
                    thread.join().expect("a thread");
                }
            }
            "forks" => {
                for seconds in [30, 10, 20] {
                    if libc::fork() == 0 {
                        say(|| libc::sleep(seconds).into());
                        return;
                    }
                }
                while libc::wait(null_mut()) > 0 {}
                println!("all");
            }
            "fork-storm" => {
                // Children that come and go all the time, and never wait themselves.
                for _ in 0..200 {
                    if libc::fork() == 0 {
                        libc::_exit(0);
                    }
                    libc::wait(null_mut());
                }
                say(|| libc::sleep(3_600).into());
            }
            "spin" => loop {
                std::hint::spin_loop();
            },
            "raw-sleep" => {
                println!("x");
                libc::syscall(libc::SYS_nanosleep, &span(3_600), 0);
            }
            "clock-alternation" => {
                for _ in 0..50 {
                    libc::usleep(10_000_000);
                    println!("{}", libc::time(null_mut()));
                }
            }
            "ring" => ring(),
            "births" => {
                // Each child is born while its parent goes to sleep, and lives by a child of its own.
                for _ in 0..300 {
                    let [read, write] = pipe();
                    if libc::fork() == 0 {
                        if libc::fork() == 0 {
                            libc::write(write, c"x".as_ptr().cast(), 1);
                        }
                        libc::_exit(0);
                    }
                    entry.fd = read;
                    assert_eq!(
                        libc::poll(&raw mut entry, 1, 10_000),
                        1,
                        "the clock moved while a child was born"
                    );
                    libc::wait(null_mut());
                    libc::close(read);
                    libc::close(write);
                }
                println!("{} ms", (clock(libc::CLOCK_MONOTONIC) / 1_000_000) % 1_000_000);
            }
            "resolver" => {
                own_resolver();
                let name = c"nowhere.example.";
                let mut found = null_mut();
                say(|| libc::getaddrinfo(name.as_ptr(), null(), null(), &raw mut found).into());
            }
            "file-times" => super::files::probe(),
            other => panic!("no probe {other}"),
        }
    }
}
