# Work of every kind by which one process waits for another, or for the network. All of it is done at one moment; whatever waits
# for it gives up after a minute of the clock's, and says so: the clock has then moved while something was under way.
use strict;
use warnings;
use Fcntl qw(:flock);
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket;

sub early { print STDERR "early: $_[0]\n" }

# Whether something can be read within a minute.
sub comes {
    my ($from, $what) = @_;
    my $bits = '';
    vec($bits, fileno $from, 1) = 1;
    return 1 if select($bits, undef, undef, 60);
    early($what);
    return 0;
}

# A child that does this, and ends.
sub child {
    my ($does) = @_;
    my $pid = fork // die "cannot fork: $!\n";
    return $pid if $pid;
    $does->();
    POSIX::_exit(0);
}

# A token that goes round through processes in plain read(2); each is born and ends meanwhile.
sub tokens {
    my ($count) = @_;
    pipe(my $first, my $begin) or die;
    my ($in, @children) = ($first);
    for my $n (1 .. $count) {
        pipe(my $out, my $write) or die;
        push @children, child(sub {
            sysread($in, my $token, 4);
            my $grandchild = child(sub { POSIX::_exit(0) });
            waitpid($grandchild, 0);
            syswrite($write, $token);
        });
        close $write;
        $in = $out;
    }
    syswrite($begin, 'turn');
    comes($in, 'a token');
    waitpid($_, 0) for @children;
}

# A lock for which all but one sleep in flock(2); a last one waits for it beside the clock.
sub locks {
    my ($count) = @_;
    my $path = "/var/tmp/lock.$$";
    pipe(my $told, my $tell) or die;
    my @children = map {
        child(sub {
            open(my $file, '>>', $path) or die;
            flock($file, LOCK_EX);
            syswrite($file, 'x') for 1 .. 20;
            syswrite($tell, '.');
        });
    } 1 .. $count;
    for (1 .. $count) { comes($told, 'a lock') and sysread($told, my $one, 1) }
    waitpid($_, 0) for @children;
    unlink $path;
}

# Connections that wait in an accept queue while the one who accepts does something else.
sub accepts {
    my ($count) = @_;
    my $path = "/var/tmp/accept.$$";
    my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 5) or die "cannot listen: $!\n";
    my @children = map {
        child(sub {
            my $server = IO::Socket::UNIX->new(Peer => $path) or return early("a connection: $!");
            syswrite($server, "hello\n");
            comes($server, 'an answer');
        });
    } 1 .. $count;
    for (1 .. $count) {
        comes($listener, 'a caller');
        my $client = $listener->accept;
        comes($client, 'a greeting');
        sysread($client, my $hello, 6);
        my $sum = 0;
        $sum += $_ for 1 .. 20_000;
        syswrite($client, "you too\n");
    }
    waitpid($_, 0) for @children;
    unlink $path;
}

# Questions to the resolver, many at a time, each answered once.
sub datagrams {
    my ($count) = @_;
    open(my $file, '<', '/etc/resolv.conf') or die;
    my ($resolver) = map { /^nameserver (\S+)/ } <$file>;
    my @asked = map {
        my $socket = IO::Socket::INET->new(PeerAddr => $resolver, PeerPort => 53, Proto => 'udp') or die;
        my $name = join '', map { chr(length) . $_ } qw(hub example);
        $socket->send(pack('n6', $_, 0x100, 1, 0, 0, 0) . "$name\0" . pack('n2', 15, 1));
        $socket;
    } 1 .. $count;
    for my $socket (@asked) {
        comes($socket, 'an answer of the DNS') and $socket->recv(my $answer, 1500);
    }
}

# Sessions with a server, all open at once, some by processes of their own.
sub sessions {
    my ($server, $count) = @_;
    my @children = map { child(sub { session($server) }) } 1 .. $count;
    my @open = map { IO::Socket::INET->new(PeerAddr => $server, PeerPort => 25) or die "no server: $!\n" } 1 .. $count;
    converse($_) for @open;
    waitpid($_, 0) for @children;
}

sub session {
    my ($server) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => $server, PeerPort => 25) or return early("a session: $!");
    converse($socket);
}

sub converse {
    my ($socket) = @_;
    for my $say ("NOOP\r\n", "NOOP\r\n", "QUIT\r\n", undef) {
        comes($socket, 'a reply');
        sysread($socket, my $reply, 512);
        syswrite($socket, $say) if defined $say;
    }
}

sub work_hard {
    my ($server) = @_;
    my $began = time;
    local $SIG{ALRM} = sub { early('an alarm') };
    alarm 30;
    tokens(20);
    locks(8);
    accepts(12);
    datagrams(40);
    sessions($server, 12);
    alarm 0;
    print STDERR 'worked for ', time - $began, " s\n";
}
1;
