//! Broker keys: SASL: who a connection belongs to.

use super::prelude::*;

keys! {
    "sasl.enabled.mechanisms" List "GSSAPI" [Any] Medium PerBroker
        "The SASL mechanisms offered." Refused(SEC);
    "sasl.jaas.config" Password null [Any] Medium PerBroker
        "The login context, in JAAS's own syntax." Refused(SEC);
    "sasl.mechanism.controller.protocol" String "GSSAPI" [Any] High ReadOnly
        "The mechanism used to talk to the controller." Refused(SEC);
    "sasl.mechanism.inter.broker.protocol" String "GSSAPI" [Any] Medium PerBroker
        "The mechanism used to talk to other brokers." Refused(SEC);
    "sasl.server.max.receive.size" Int "524288" [Any] Medium ReadOnly
        "The largest message of a login." NoEffect(SEC);
    "sasl.client.callback.handler.class" Class null [Any] Medium ReadOnly
        "A Java class that answers questions of a SASL client." Refused(JVM);
    "sasl.server.callback.handler.class" Class null [Any] Medium ReadOnly
        "A Java class that answers questions of a SASL server." Refused(JVM);
    "sasl.login.callback.handler.class" Class null [Any] Medium ReadOnly
        "A Java class that answers questions of a login." Refused(JVM);
    "sasl.login.class" Class null [Any] Medium ReadOnly
        "A Java class that logs in." Refused(JVM);
    "sasl.login.connect.timeout.ms" Int null [Any] Low ReadOnly
        "How long to wait for a connection to the login server." NoEffect(SEC);
    "sasl.login.read.timeout.ms" Int null [Any] Low ReadOnly
        "How long to wait for the login server's answer." NoEffect(SEC);
    "sasl.login.refresh.buffer.seconds" Short "300" [Any] Medium PerBroker
        "How long before its end a login is renewed." NoEffect(SEC);
    "sasl.login.refresh.min.period.seconds" Short "60" [Any] Medium PerBroker
        "How long a login is kept at least before it is renewed." NoEffect(SEC);
    "sasl.login.refresh.window.factor" Double "0.8" [Any] Medium PerBroker
        "After which share of its life a login is renewed." NoEffect(SEC);
    "sasl.login.refresh.window.jitter" Double "0.05" [Any] Medium PerBroker
        "How much that share varies." NoEffect(SEC);
    "sasl.login.retry.backoff.ms" Long "100" [Any] Low ReadOnly
        "How long to wait before the login server is asked again, at first." NoEffect(SEC);
    "sasl.login.retry.backoff.max.ms" Long "10000" [Any] Low ReadOnly
        "How long to wait before the login server is asked again, at most." NoEffect(SEC);
    "sasl.kerberos.kinit.cmd" String "/usr/bin/kinit" [Any] Medium PerBroker
        "The program that gets a Kerberos ticket." Refused(KERBEROS);
    "sasl.kerberos.min.time.before.relogin" Long "60000" [Any] Medium PerBroker
        "How long at least lies between two Kerberos logins." NoEffect(KERBEROS);
    "sasl.kerberos.principal.to.local.rules" List "DEFAULT" [Any] Medium PerBroker
        "How a Kerberos name becomes a short one." Refused(KERBEROS);
    "sasl.kerberos.service.name" String null [Any] Medium PerBroker
        "The Kerberos name of the service." Refused(KERBEROS);
    "sasl.kerberos.ticket.renew.jitter" Double "0.05" [Any] Medium PerBroker
        "How much the time of a ticket's renewal varies." NoEffect(KERBEROS);
    "sasl.kerberos.ticket.renew.window.factor" Double "0.8" [Any] Medium PerBroker
        "After which share of its life a ticket is renewed." NoEffect(KERBEROS);
    "sasl.oauthbearer.assertion.algorithm" String "RS256" [OneOfIgnoringCase(&["ES256", "RS256"])] Medium ReadOnly
        "How an assertion is signed." NoEffect(SEC);
    "sasl.oauthbearer.assertion.claim.aud" String null [Any] Medium ReadOnly
        "The audience that an assertion names." Refused(SEC);
    "sasl.oauthbearer.assertion.claim.exp.seconds" Int "300" [Between(0, 86400)] Low ReadOnly
        "How long an assertion is valid." NoEffect(SEC);
    "sasl.oauthbearer.assertion.claim.iss" String null [Any] Medium ReadOnly
        "The issuer that an assertion names." Refused(SEC);
    "sasl.oauthbearer.assertion.claim.jti.include" Boolean "false" [Any] Medium ReadOnly
        "Whether an assertion carries an id of its own." NoEffect(SEC);
    "sasl.oauthbearer.assertion.claim.nbf.seconds" Int "60" [Between(0, 3600)] Low ReadOnly
        "How far back an assertion's validity begins." NoEffect(SEC);
    "sasl.oauthbearer.assertion.claim.sub" String null [Any] Medium ReadOnly
        "The subject that an assertion names." Refused(SEC);
    "sasl.oauthbearer.assertion.file" String null [Any] Medium ReadOnly
        "A file with an assertion." Refused(SEC);
    "sasl.oauthbearer.assertion.private.key.file" String null [Any] Medium ReadOnly
        "A file with the key that signs assertions." Refused(SEC);
    "sasl.oauthbearer.assertion.private.key.passphrase" Password null [Any] Medium ReadOnly
        "The password of that key." Refused(SEC);
    "sasl.oauthbearer.assertion.template.file" String null [Any] Medium ReadOnly
        "A file with the fixed parts of assertions." Refused(SEC);
    "sasl.oauthbearer.client.credentials.client.id" String null [Any] Medium ReadOnly
        "The client's id at the token server." Refused(SEC);
    "sasl.oauthbearer.client.credentials.client.secret" Password null [Any] Medium ReadOnly
        "The client's secret at the token server." Refused(SEC);
    "sasl.oauthbearer.clock.skew.seconds" Int "30" [Any] Low ReadOnly
        "By how much clocks may differ when a token is checked." NoEffect(SEC);
    "sasl.oauthbearer.expected.audience" List "" [Any] High ReadOnly
        "The audiences that a token may name." Refused(SEC);
    "sasl.oauthbearer.expected.issuer" String null [Any] High ReadOnly
        "The issuer that a token must name." Refused(SEC);
    "sasl.oauthbearer.jwks.endpoint.refresh.ms" Long "3600000" [Any] Low ReadOnly
        "How often the keys that check tokens are read again." NoEffect(SEC);
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms" Long "100" [Any] Low ReadOnly
        "How long to wait before the keys are asked for again, at first." NoEffect(SEC);
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms" Long "10000" [Any] Low ReadOnly
        "How long to wait before the keys are asked for again, at most." NoEffect(SEC);
    "sasl.oauthbearer.jwks.endpoint.url" String null [Any] Medium ReadOnly
        "Where the keys that check tokens are found." Refused(SEC);
    "sasl.oauthbearer.jwt.retriever.class" Class "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever" [Any] Medium ReadOnly
        "The Java class that gets tokens." Refused(JVM);
    "sasl.oauthbearer.jwt.validator.class" Class "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator" [Any] Medium ReadOnly
        "The Java class that checks tokens." Refused(JVM);
    "sasl.oauthbearer.scope" String null [Any] Medium ReadOnly
        "The scope asked for in a token." Refused(SEC);
    "sasl.oauthbearer.scope.claim.name" String "scope" [Any] Low ReadOnly
        "The name of a token's claim that holds the scope." NoEffect(SEC);
    "sasl.oauthbearer.sub.claim.name" String "sub" [Any] Low ReadOnly
        "The name of a token's claim that holds the subject." NoEffect(SEC);
    "sasl.oauthbearer.token.endpoint.url" String null [Any] Medium ReadOnly
        "Where tokens are got." Refused(SEC);
}
